#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write RESULTS.md from the lines of `tools/bench --peers --json` on standard input.

A ratio is a peer's figure divided by lshm's, so above 1 lshm is better. Rows where lshm is not the
best are listed with the reason that the file `reasons` gives for them.
"""
import argparse
import collections
import fnmatch
import json
import os
import platform
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
REGIMES = ("near", "smt", "far", "mixed")  # attach has no regime: it is mixed
MARKS = {"near": "", "smt": " (smt)", "far": " (far)", "mixed": " (mixed)"}
NO_ROOM_MIN = 1 / 1.1  # of the best peer, where measured limits leave nothing to gain
PAIRS_MIN = 5  # a ratio of fewer is marked
MIB = 1 << 20
NO_REASON = "no reason is known yet"
DEBIAN = {"zeromq": "libzmq5", "nng": "libnng1", "dpdk-rte_ring": "librte-ring23",
          "iceoryx": "libiceoryx-posh2"}
CRATES = {"iceoryx2": "iceoryx2", "aeron": "rusteron-client"}

Cell = collections.namedtuple("Cell", "bench size batch mode touch subscribers publishers lossy")


def size_text(size):
    for unit, name in ((MIB, "MiB"), (1024, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def cell_name(cell):
    name = f"{cell.bench}:{cell.size}/{cell.batch}/{cell.mode}/{cell.touch}"
    if cell.bench in ("fanout", "fanin"):
        name += f"/{cell.subscribers * cell.publishers}" + ("/lossy" if cell.lossy else "")
    return name


def no_room(cell):
    """Where lshm need not be faster: at most 1.1 times the best will do."""
    bulk = cell.size >= MIB and cell.touch == "all"
    pure_blocking = cell.mode == "block" and cell.bench in ("roundtrip", "wake")
    return bulk or pure_blocking


def read_lines(file):
    """{cell: {system: {regime: row}}}, {cell: {system: why it was not measured}}."""
    rows = collections.defaultdict(lambda: collections.defaultdict(dict))
    skips = collections.defaultdict(dict)
    for line in file:
        row = json.loads(line)
        cell = Cell(*(row[field] for field in Cell._fields))
        system = row["system"]
        if "regime" in row:
            rows[cell][system][row["regime"]] = row
        else:
            skips[cell][system] = row.get("skipped") or "FAILED: " + row["failed"]
    return rows, skips


def best_row(regimes):
    """The row of the first regime that has pairs, else None."""
    for regime in REGIMES:
        if regime in regimes and regimes[regime]["pairs"]:
            return regimes[regime]
    return None


def ratio_text(row):
    few = "?" if row["pairs"] < PAIRS_MIN else ""
    return f"{row['times_lshm']:.2f}{few}{MARKS[row['regime']]}"


def shown(cell, rows, skips, system):
    row = best_row(rows[cell].get(system, {}))
    if row:
        text = ratio_text(row)
        return text if cell.bench != "attach" else f"{row['times_lshm']:.2f}"
    if system in rows[cell]:
        return "no pair"
    return "FAILED" if skips[cell].get(system, "").startswith("FAILED") else "-"


def systems_of(rows, skips):
    """In the order of their first appearance, lshm left out."""
    names = {}
    for table in (rows, skips):
        for cell in table:
            names.update(dict.fromkeys(table[cell]))
    return [name for name in names if name != "lshm"]


def table(out, head, lines):
    print("| " + " | ".join(head) + " |", file=out)
    print("|" + "---|" * len(head), file=out)
    for line in lines:
        print("| " + " | ".join(line) + " |", file=out)
    print(file=out)


def pair_tables(out, rows, skips, systems):
    cells = sorted(set(rows) | set(skips), key=lambda c: (c.bench != "roundtrip", c))
    groups = collections.OrderedDict()
    for cell in cells:
        if cell.bench in ("roundtrip", "oneway"):
            groups.setdefault((cell.bench, cell.mode, cell.touch, cell.batch), []).append(cell)
    for (bench, mode, touch, batch), group in groups.items():
        what = "all bytes" if touch == "all" else "16 bytes"
        print(f"### {bench}, {mode}, {what} touched, batch {batch}\n", file=out)
        lines = []
        for system in systems:
            values = [shown(cell, rows, skips, system) for cell in group]
            if any(value != "-" for value in values):
                lines.append([system] + values)
        table(out, ["system"] + [size_text(cell.size) for cell in group], lines)


def fan_tables(out, rows, skips, systems):
    groups = collections.OrderedDict()
    for cell in sorted(set(rows) | set(skips)):
        if cell.bench in ("fanout", "fanin"):
            groups.setdefault((cell.bench, cell.size, cell.lossy), []).append(cell)
    for (bench, size, lossy), group in groups.items():
        end = "publisher" if bench == "fanout" else "subscriber"
        policy = ", slow subscribers lose" if lossy else ", nothing is lost"
        print(f"### {bench}, {size_text(size)}{policy}: CPU time per message of the {end}\n",
              file=out)
        group.sort(key=lambda cell: cell.subscribers * cell.publishers)
        field = f"{end}_cpu_ns"
        lines = [["lshm, relative to its first column"] + own_growth(rows, group, field)]
        for system in systems:
            values = [shown(cell, rows, skips, system) for cell in group]
            if any(value != "-" for value in values):
                lines.append([system] + values)
        heads = [f"1→{cell.subscribers}" if bench == "fanout" else f"{cell.publishers}→1"
                 for cell in group]
        table(out, ["system"] + heads, lines)


def own_growth(rows, group, field):
    own = [best_row(rows[cell].get("lshm", {})) for cell in group]
    if not own[0]:
        return ["-"] * len(group)
    return [f"{row[field] / own[0][field]:.2f}{MARKS[row['regime']]}" if row else "-"
            for row in own]


def other_tables(out, rows, skips, systems):
    for bench, what in (("wake", "from send until the sleeper has the message"),
                        ("attach", "a new process, from the first call to its first message")):
        cells = [cell for cell in set(rows) | set(skips) if cell.bench == bench]
        if cells:
            print(f"### {bench}: {what}\n", file=out)
            lines = [[system, shown(cells[0], rows, skips, system)] for system in systems
                     if shown(cells[0], rows, skips, system) != "-"]
            table(out, ["system", "ratio"], lines)


def cost_table(out, rows, systems):
    """CPU per message and memory in the cells that show them best."""
    picks = [cell for cell in rows if cell.bench == "oneway" and cell.batch == 1 and
             cell.touch == "all" and cell.size in (64, MIB)]
    picks.sort(key=lambda cell: (cell.mode, cell.size))
    head = ["system"]
    for cell in picks:
        head += [f"CPU {size_text(cell.size)} {cell.mode}", "MiB"]
    lines = []
    for system in ["lshm"] + systems:
        line = [system]
        for cell in picks:
            row, own = (best_row(rows[cell].get(name, {})) for name in (system, "lshm"))
            line += ([f"{row['cpu_ns_per_msg'] / own['cpu_ns_per_msg']:.2f}",
                      f"{row['memory_bytes'] / MIB:.1f}"] if row and own else ["-", "-"])
        if set(line[1:]) != {"-"}:
            lines.append(line)
    print("## CPU time and memory\n", file=out)
    print("CPU time per message of all processes of a system, relative to lshm's; memory (PSS) of "
          "all of\nthem, without what the kernel keeps for pipes, sockets and queues.\n", file=out)
    table(out, head, lines)


def read_reasons():
    reasons = []
    with open(os.path.join(HERE, "reasons"), encoding="utf-8") as file:
        for line in file:
            line = line.split("#")[0].strip()
            if line:
                cells, names, reason = line.split(None, 2)
                reasons.append((cells, names, reason))
    return reasons


def behind(out, rows, systems):
    """The cells in which a peer is better than it may be."""
    reasons = read_reasons()
    lines = []
    for cell in rows:
        for system in systems:
            row = best_row(rows[cell].get(system, {}))
            if not row or row["times_lshm"] >= (NO_ROOM_MIN if no_room(cell) else 1):
                continue
            reason = next((text for cells, names, text in reasons
                           if fnmatch.fnmatch(cell_name(cell), cells) and
                           fnmatch.fnmatch(system, names)), NO_REASON)
            lines.append([f"`{cell_name(cell)}`", system, ratio_text(row), str(row["pairs"]),
                          reason])
    print("## Where lshm is not the fastest\n", file=out)
    print("Every row below 1; where the machine leaves no room (1 MiB and more with all bytes "
          "touched,\nwake-ups that are the kernel's) those below 0.91.\n", file=out)
    if lines:
        table(out, ["cell", "system", "ratio", "pairs", "why"], lines)
    else:
        print("None.\n", file=out)


def version_of(system):
    if system in DEBIAN:
        result = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", DEBIAN[system]],
                                capture_output=True, text=True)
        return f"Debian {DEBIAN[system]} {result.stdout}" if result.stdout else "not installed"
    if system in CRATES:
        path = os.path.join(HERE, "peers", system, "Cargo.toml")
        with open(path, encoding="utf-8") as file:
            line = next(line for line in file if line.startswith(CRATES[system] + " "))
        return f"crate {CRATES[system]} " + line.split('"')[1].lstrip("=")
    return f"Linux {platform.release()}"


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((line.split(":", 1)[1].strip() for line in file
                     if line.startswith("model name")), "unknown")


def git(*arguments):
    return subprocess.run(["git", "-C", HERE, *arguments], capture_output=True, text=True,
                          check=True).stdout.strip()


def header(out, rows, systems, command):
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    counts = collections.Counter()
    for cell in rows:
        for regime, row in rows[cell].get("lshm", {}).items():
            if cell.bench != "attach":
                counts[regime] += row["samples"]
    spread = ", ".join(f"{regime} {100 * counts[regime] / max(1, sum(counts.values())):.0f} %"
                       for regime in REGIMES)
    print("<!-- SPDX-License-Identifier: Apache-2.0 -->\n# lshm and its peers\n", file=out)
    print(f"Generated by `{command}`; do not edit. README.md says how it is measured.\n", file=out)
    table(out, ["", ""], [
        ["commit", git("rev-parse", "--short=12", "HEAD") + changed],
        ["CPU", f"{cpu_model()}, {os.cpu_count()} CPUs"],
        ["system", f"Linux {platform.release()}, load {os.getloadavg()[2]:.1f} over the last "
                   "15 minutes (1 or 2 is the benchmark itself)"],
        ["lshm's samples by regime", spread],
    ] + [[system, version_of(system)] for system in systems])


def skipped_table(out, skips, systems):
    """Why something was not measured, with the benches it concerns."""
    reasons = collections.OrderedDict()
    for cell in sorted(skips):
        for system, why in skips[cell].items():
            where = (cell.bench + (" block" if cell.mode == "block" and why == "polls only" else "")
                     + (f" {size_text(cell.size)}" if "bytes" in why else "")
                     + (" lossy" if cell.lossy else ""))
            reasons.setdefault((system, why), {})[where] = None
    print("## Not measured\n", file=out)
    table(out, ["system", "why", "where"],
          [[system, why, ", ".join(where)] for (system, why), where in
           sorted(reasons.items(), key=lambda item: (["lshm"] + systems).index(item[0][0]))])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--command", default="tools/bench --peers --results")
    options = parser.parse_args()
    rows, skips = read_lines(sys.stdin)
    systems = systems_of(rows, skips)
    out = sys.stdout
    header(out, rows, systems, options.command)
    print("A figure is the peer's divided by lshm's, measured in turn: **above 1 lshm is better**. "
          "Round trip,\nwake and attach compare median times, one way the time per message, fans "
          "the CPU time of the end\nthat there is one of. Ratios are of the near regime unless "
          "another one is named; `?` is made of fewer\n"
          f"than {PAIRS_MIN} pairs; `-` was not measured (see the end).\n", file=out)
    behind(out, rows, systems)
    print("## Ratios\n", file=out)
    pair_tables(out, rows, skips, systems)
    other_tables(out, rows, skips, systems)
    fan_tables(out, rows, skips, systems)
    cost_table(out, rows, systems)
    skipped_table(out, skips, systems)


if __name__ == "__main__":
    main()
