# SPDX-License-Identifier: Apache-2.0
"""What the tests of `lshm` share: a private broker, processes, a runner that prints TAP."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("LSHM_BUILD_DIR", ROOT / "build" / "release"))
TOOL = BUILD / "tools" / "lshm" / "lshm"
BROKER = BUILD / "brokerd" / "brokerd"
COMPLETION = ROOT / "tools" / "lshm" / "completion" / "lshm.bash"
DEADLINE_S = 30
COMMANDS = ("status", "topic", "client", "holders", "pub", "sub", "hz", "bw", "delay", "latency",
            "doctor",
            "version")
TESTS = []


class Skip(Exception):
    """A test cannot run here, and tests/skips allows it."""


def test(function):
    TESTS.append(function)
    return function


class Rig:
    """A private directory and what was started; nothing is left behind."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.socket = self.directory / "broker.sock"
        self.env = {"PATH": os.environ["PATH"], "LSHM_SOCKET": str(self.socket), "LC_ALL": "C"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self.started = []
        self.broker = None

    def start(self, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE):
        child = subprocess.Popen([str(TOOL), *map(str, arguments)], env=self.env, stdin=stdin,
                                 stdout=stdout, stderr=subprocess.PIPE)
        self.started.append(child)
        return child

    def run(self, *arguments, code=0, stdin=b"", env=None):
        result = subprocess.run([str(TOOL), *map(str, arguments)], input=stdin,
                                env={**self.env, **(env or {})}, capture_output=True,
                                timeout=DEADLINE_S)
        assert result.returncode == code, (
            f"lshm {' '.join(map(str, arguments))}: exit {result.returncode}, not {code}: "
            f"{result.stderr.decode()!r}")
        return result

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "--json", **options).stdout)

    def error(self, *arguments, code, **options):
        """A failure: exactly one line on stderr, nothing on stdout."""
        result = self.run(*arguments, code=code, **options)
        text = result.stderr.decode()
        assert text.count("\n") == 1 and text.startswith("lshm"), f"not one line: {text!r}"
        assert result.stdout == b"", f"output besides the error: {result.stdout!r}"
        return text

    def start_broker(self):
        self.broker = subprocess.Popen([str(BROKER), "--foreground", "--drain", "0"],
                                       env=self.env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: subprocess.run([str(TOOL), "status"], env=self.env,
                                     capture_output=True).returncode == 0, "the broker answers")

    def stop_broker(self):
        if self.broker:
            self.broker.send_signal(signal.SIGTERM)
            self.broker.wait(DEADLINE_S)
            self.broker = None

    def kill_broker(self):
        """Its keeper, without a chance to say anything to anybody."""
        self.broker.kill()
        self.broker.wait(DEADLINE_S)
        self.broker = None

    def another(self, name):
        """One with a broker of its own, for a test that ends it."""
        directory = self.directory / name
        directory.mkdir(mode=0o700)
        return Rig(directory)

    def clean(self):
        for child in self.started:
            if child.poll() is None:
                child.kill()
            child.communicate()
        self.started = []

    def topic(self, name):
        for topic in self.json("topic", "ls")["topics"]:
            if topic["name"] == name:
                return topic
        return {"publisher_count": 0, "subscriber_count": 0, "published": 0}

    def subscribe(self, name, *options, command="sub", stdout=subprocess.PIPE):
        """A subscriber that has its place: what is published now reaches it."""
        before = self.topic(name)["subscriber_count"]
        child = self.start(command, name, *options, stdout=stdout)
        until(lambda: child.poll() is not None or
              self.topic(name)["subscriber_count"] > before, f"somebody subscribes to {name}")
        return child


def until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.02)


def finish(child, code=0, stdin=None):
    out, err = child.communicate(stdin, DEADLINE_S)
    assert child.returncode == code, f"exit {child.returncode}, not {code}: {err.decode()!r}"
    return out, err.decode()


def main():
    for program in (TOOL, BROKER):
        if not program.exists():
            print(f"1..0\nBail out! {program} does not exist: build first")
            return 1
    failed = 0
    print(f"1..{len(TESTS)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="lshm-cli-") as directory:
        rig = Rig(directory)
        for number, function in enumerate(TESTS, 1):
            name = function.__name__
            try:
                function(rig)
                print(f"ok {number} - {name}", flush=True)
            except Skip as reason:
                print(f"ok {number} - {name} # SKIP {reason}", flush=True)
            except (AssertionError, subprocess.TimeoutExpired, OSError, KeyError, IndexError,
                    ValueError) as problem:
                failed += 1
                print(f"not ok {number} - {name}", flush=True)
                print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()) +
                      f"# {problem}", flush=True)
            finally:
                rig.clean()
        rig.stop_broker()
    return 1 if failed else 0
