#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Self-test of tools/dev/tap: nothing that went wrong in a TAP program is counted as passed."""
import os
import subprocess
import sys
import tempfile

TAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "dev", "tap")
SKIPS = "# comment\np/root-*  needs root\n"

# name, shell program, expected (state, test) list
CASES = [
    ("all pass", "echo 1..2; echo ok 1 - a; echo ok 2 - b", ["pass p/a", "pass p/b"]),
    ("one fails", "echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1", ["pass p/a", "fail p/b"]),
    ("one fails, exit 0", "echo 1..1; echo not ok 1 - a", ["fail p/a"]),
    ("todo is a failure", "echo 1..1; echo 'not ok 1 - a # TO''DO x'", ["fail p/a # TO" "DO x"]),
    ("plan at the end", "echo ok 1 - a; echo 1..1", ["pass p/a"]),
    ("two groups", "echo 1..1; echo ok 1 - a; echo 1..1; echo ok 1 - b", ["pass p/a", "pass p/b"]),
    ("no plan", "echo ok 1 - a", ["pass p/a", "fail p"]),
    ("ends early", "echo 1..2; echo ok 1 - a", ["pass p/a", "fail p"]),
    ("too many", "echo 1..1; echo ok 1 - a; echo ok 2 - b", ["pass p/a", "pass p/b", "fail p"]),
    ("empty plan", "echo 1..0", ["fail p"]),
    ("no output", "true", ["fail p"]),
    ("bail out", "echo 1..1; echo ok 1 - a; echo 'Bail out! x'", ["pass p/a", "fail p"]),
    ("exit status", "echo 1..1; echo ok 1 - a; exit 3", ["pass p/a", "fail p"]),
    ("signal", "echo 1..1; echo ok 1 - a; kill -SEGV $$", ["pass p/a", "fail p"]),
    ("time-out", "echo 1..1; echo ok 1 - a; sleep 30", ["pass p/a", "fail p"]),
    ("failing group set-up", "echo 1..1; echo not ok 0 - g; exit 1", ["fail p/g"]),
    ("skip, allowed", "echo 1..1; echo 'ok 1 - root-a # SKIP x'", ["skip p/root-a"]),
    ("skip, cmocka's", "echo 1..1; echo 'not ok 1 # SKIP root-a'", ["skip p/root-a"]),
    ("skip, not allowed", "echo 1..1; echo 'ok 1 - a # SKIP x'", ["fail p/a"]),
    ("skip of all, not allowed", "echo '1..0 # SKIP x'", ["fail p/all"]),
    ("stderr is not parsed", "echo 1..1; echo ok 1 - a; echo ok 2 - b >&2", ["pass p/a"]),
]
PLAIN_CASES = [
    ("plain passes", "exit 0", ["pass p"]),
    ("plain fails", "exit 1", ["fail p"]),
]
CTEST = """add_test(a bash -c "echo 1..1; echo ok 1 - x")
set_tests_properties(a PROPERTIES LABELS unit)
"""
CTEST_CASES = [
    ("label with tests", ["unit"], ["pass a/x"]),
    ("label without tests, beside one with", ["unit", "uni"], ["pass a/x", "fail uni"]),
]


def run(directory, *arguments):
    results = os.path.join(directory, "results")
    skips = os.path.join(directory, "skips")
    with open(skips, "w", encoding="utf-8") as f:
        f.write(SKIPS)
    if os.path.exists(results):
        os.remove(results)
    done = subprocess.run([sys.executable, TAP, "--results", results, "--skips", skips, "--timeout",
                           "1", "--name", "p", *arguments], capture_output=True, text=True)
    with open(results, encoding="utf-8") as f:
        found = [" ".join(line.split("\t")[:2]) for line in f]
    return done.returncode, found, done.stdout + done.stderr


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as directory:
        with open(os.path.join(directory, "CTestTestfile.cmake"), "w", encoding="utf-8") as f:
            f.write(CTEST)
        shell = ["--", "bash", "-c"]
        cases = ([(name, [*shell, script], wanted) for name, script, wanted in CASES] +
                 [(name, ["--plain", *shell, script], wanted)
                  for name, script, wanted in PLAIN_CASES] +
                 [(name, ["--ctest", directory, *labels], wanted)
                  for name, labels, wanted in CTEST_CASES])
        print(f"1..{len(cases) + 2}")
        for number, (name, arguments, expected) in enumerate(cases, 1):
            status, found, output = run(directory, *arguments)
            bad = any(line.startswith("fail") for line in expected)
            passed = found == expected and status == int(bad)
            failures += not passed
            print(f"{'ok' if passed else 'not ok'} {number} - {name}")
            if not passed:
                print(f"# status {status}, found {found}, expected {expected}")
                print("".join(f"# {line}\n" for line in output.splitlines()), end="")
        failures += not check_parts(directory, len(cases) + 1)
        failures += not check_comments(directory, len(cases) + 2)
    return 1 if failures else 0


def check_comments(directory, number):
    """A program's comments are printed when that was asked for, and nothing else of it is."""
    shell = ["--", "bash", "-c", "echo 1..1; echo ok 1 - a; echo '# said'"]
    outputs = [run(directory, *options, *shell)[2].splitlines()[:-1]
               for options in ([], ["--comments"])]
    passed = outputs == [[], ["# said"]]
    print(f"{'ok' if passed else 'not ok'} {number} - comments")
    if not passed:
        print(f"# found {outputs}")
    return passed


def check_parts(directory, number):
    """Parts of a build's tests are disjoint, and all of them together."""
    with open(os.path.join(directory, "CTestTestfile.cmake"), "w", encoding="utf-8") as file:
        for name, label in (("a", "unit"), ("b", "unit"), ("c", "unit"), ("d", "multi")):
            file.write(f'add_test({name} sh -c "echo 1..1; echo ok 1 - x")\n'
                       f"set_tests_properties({name} PROPERTIES LABELS {label})\n")
    found, output = [], ""
    for part in ("1/2", "2/2"):
        results = os.path.join(directory, "parts")
        result = subprocess.run([sys.executable, TAP, "--results", results, "--skips", os.devnull,
                                 "--part", part, "--ctest", directory, "unit", "multi"],
                                capture_output=True, text=True)
        output += result.stdout + result.stderr
        with open(results, encoding="utf-8") as file:
            found.append([line.split("\t")[1] for line in file])
        os.remove(results)
    passed = found == [["a/x", "c/x"], ["b/x", "d/x"]]
    print(f"{'ok' if passed else 'not ok'} {number} - parts of a build's tests")
    if not passed:
        print(f"# found {found}\n" + "".join(f"# {line}\n" for line in output.splitlines()))
    return passed


if __name__ == "__main__":
    sys.exit(main())
