#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The adaptors that need nothing but the kernel work, and what they print is valid. A subscriber
that was stopped can account for every message.

Usage: smoke.py BUILD-DIRECTORY SECONDS (it runs, and is stopped, for so long). The benchmark must
have been built there.
"""
import json
import os
import subprocess
import sys

PEERS = ["pipe", "unix-stream", "unix-seqpacket", "posix-mq"]
PROGRAMS = ["lshm", "stream", "packet", "mq"]
BENCHES = ["roundtrip:64/1/spin/all", "oneway:64/32/spin/all", "wake", "fanin:64/32/block/all/4"]


def run(build, only):
    command = [os.path.join(build, "tests/bench/lshm-bench"), "--peers", "--quick", "--json",
               "--seconds", "0.2", "--only", only, "--with", ",".join(PEERS)]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    return [json.loads(line) for line in result.stdout.splitlines()]


def main():
    build = sys.argv[1]
    output = subprocess.run([os.path.join(build, "tests/bench/lshm-bench"), "--only", "stopped",
                             "--seconds", sys.argv[2], "--json"],
                            stdout=subprocess.PIPE, text=True, timeout=300, check=False).stdout
    row = json.loads(output)
    assert row["exact"] and row["lost"] > 0 and row["memory_growth_bytes"] <= 256 * 1024, row
    print(f"stopped: {row}")
    subprocess.run(["ninja", "-C", build, "--quiet"] + ["lshm-peer-" + name for name in PROGRAMS],
                   check=True)
    for only in BENCHES:
        rows = run(build, only)
        bad = [row for row in rows if "failed" in row]
        assert not bad, f"{only}: {bad}"
        measured = {row["system"] for row in rows if row.get("samples")}
        skipped = {row["system"]: row["skipped"] for row in rows if "skipped" in row}
        assert "lshm" in measured, f"{only}: lshm was not measured"
        assert measured | set(skipped) == {"lshm", *PEERS}, f"{only}: {measured} {skipped}"
        print(f"{only}: measured {', '.join(sorted(measured))}; skipped {skipped}")


if __name__ == "__main__":
    main()
