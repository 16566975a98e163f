#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check what tests/model/README.md says of the models against what run does; print TAP.

Its tables list the sizes and the mutants of run; each ordering of libshm/doc/ordering.md has a
mutant, or a reason in the README why it has none.
"""
import collections
import importlib.machinery
import importlib.util
import pathlib
import re
import sys

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "model"


def load_run():
    loader = importlib.machinery.SourceFileLoader("run", str(MODELS / "run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run", loader))
    sys.modules["run"] = module
    loader.exec_module(module)
    return module


def rows(title):
    """The cells of the first table behind this title."""
    text = (MODELS / "README.md").read_text().split(f"## {title}\n", 1)[1]
    table = re.search(r"^\|.*?\n\|---.*?\n((?:\|.*\n)+)", text, re.M)[1]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


def difference(documented, real):
    documented, real = collections.Counter(documented), collections.Counter(real)
    return "".join([f"not in the README: {' '.join(each)}\n" for each in real - documented] +
                   [f"not in run: {' '.join(each)}\n" for each in documented - real])


def check_sizes(run):
    names = {run.QUICK: "quick", run.DEFAULT: "default", run.LONG: "long"}
    return difference([(level, model, macros.strip("`"))
                       for level, model, macros, *_ in rows("Sizes and states")],
                      [(names[level], model, macros) for model, level, macros in run.MODELS])


def check_mutants(run):
    return difference([(model, re.sub(r"^without | \(.*", "", mutant), fails)
                       for model, mutant, fails, _ in rows("Mutants")],
                      [(model, mutant, fails) for model, _, mutant, fails, *_ in run.MUTANTS])


def check_orderings(run):
    page = (ROOT / "libshm" / "doc" / "ordering.md").read_text()
    tags = set(re.findall(r"^\| ([A-Z]\w*) \| \w+", page, re.M)) - {"id"}
    explained = {tag for row in rows("Orderings without a mutant") for tag in row[0].split()}
    killed = {mutant for _, _, mutant, *_ in run.MUTANTS}
    return "".join([f"neither mutant nor reason: {tag}\n" for tag in sorted(
                        tags - killed - explained)] +
                   [f"both mutant and reason: {tag}\n" for tag in sorted(explained & killed)] +
                   [f"a reason for what there is not: {tag}\n" for tag in sorted(
                        explained - tags)])


def main():
    run = load_run()
    cases = [("the README lists the models' sizes", check_sizes),
             ("the README lists the mutants", check_mutants),
             ("each ordering has a mutant, or a reason why not", check_orderings)]
    failed = 0
    print(f"1..{len(cases)}")
    for number, (name, check) in enumerate(cases, 1):
        text = check(run)
        failed += bool(text)
        print(f"{'not ok' if text else 'ok'} {number} - {name}")
        print("".join(f"# {line}\n" for line in text.splitlines()), end="", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
