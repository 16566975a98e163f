#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Test tools/dev/lint: it finds a mistake, and nothing where there is none. Prints TAP."""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOOD = "int twice(int number);\nint twice(int number)\n{\n    return 2 * number;\n}\n"
BAD = GOOD.replace("2 * number", "number > 1 ? number : number")


def lint(text):
    """Exit status and output for a file with that text."""
    with tempfile.TemporaryDirectory(prefix="lshm-lint-") as name:
        directory = pathlib.Path(name).resolve()
        shutil.copy(ROOT / ".clang-tidy", directory)
        source = directory / "file.c"
        source.write_text(text)
        (directory / "compile_commands.json").write_text(json.dumps([{
            "directory": str(directory), "file": str(source), "command": f"clang -c {source}"}]))
        result = subprocess.run([ROOT / "tools" / "dev" / "lint", directory, "file"],
                                capture_output=True, text=True)
    return result.returncode, result.stdout + result.stderr


def main():
    good, bad = lint(GOOD), lint(BAD)
    usage = subprocess.run([ROOT / "tools" / "dev" / "lint"], capture_output=True, text=True)
    cases = [("nothing is found where there is nothing", good == (0, ""), good),
             ("a mistake is found and shown", bad[0] == 1 and "bugprone" in bad[1], bad),
             ("a directory is asked for", usage.returncode == 64 and "DIR" in usage.stderr, usage)]
    print(f"1..{len(cases)}")
    for number, (name, is_so, why) in enumerate(cases, 1):
        print(f"{'ok' if is_so else 'not ok'} {number} - {name}")
        if not is_so:
            print("".join(f"# {line}\n" for line in str(why).splitlines()), end="")
    return 0 if all(case[1] for case in cases) else 1


if __name__ == "__main__":
    sys.exit(main())
