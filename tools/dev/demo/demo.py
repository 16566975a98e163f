#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo, once everything is built: demo.py --build DIR (--clip FILE | --live).

tools/demo starts it.
"""
import argparse
import shutil
import signal
import sys
import tempfile

from chain import EX_NOT_PROVED, EX_TROUBLE, EX_USAGE, SABOTAGES, Trouble
from live import LiveChain
from screen import Screen
from video import VideoChain


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--clip")
    source.add_argument("--live", action="store_true")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--sabotage")
    arguments = parser.parse_args()
    if arguments.sabotage not in (None, *SABOTAGES):
        print(f"demo: there is no --sabotage {arguments.sabotage}: say {', '.join(SABOTAGES)}",
              file=sys.stderr)
        raise SystemExit(EX_USAGE)
    return arguments


def interrupt(number, _):
    raise SystemExit(128 + number)


def main():
    arguments = parse_arguments()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    screen = Screen()
    directory = tempfile.mkdtemp(prefix="lshm-demo-")
    demo = None
    try:
        demo = (LiveChain if arguments.live else VideoChain)(arguments, screen, directory)
        demo.run()
        status = 0 if demo.proofs.summary() else EX_NOT_PROVED
    except Trouble as trouble:
        screen.say(f"demo: {trouble}")
        status = trouble.status
        if demo is not None and demo.proofs.failed:
            demo.proofs.summary()
            status = EX_NOT_PROVED
    except (OSError, RuntimeError) as error:
        screen.say(f"demo: {error}")
        status = EX_TROUBLE
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if demo is not None:
            demo.processes.kill_all()
        shutil.rmtree(directory)
    return status


if __name__ == "__main__":
    sys.exit(main())
