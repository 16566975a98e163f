# SPDX-License-Identifier: Apache-2.0
"""What /proc says of this machine, and how much of it was used between two readings."""
import glob
import os

TICKS_S = os.sysconf("SC_CLK_TCK")
END = 1  # in a message's flags: the last one of its topic
FILES = {"cpu": "/proc/stat", "memory": "/proc/meminfo", "network": "/proc/self/net/dev",
         "disks": "/proc/diskstats"}
PROCESSES = "processes"
TOPICS = (*FILES, PROCESSES)


def topic(name):
    return f"live/{name}"


def process_files():
    return glob.glob("/proc/[0-9]*/stat")


def read(name):
    with open(FILES[name], encoding="ascii", errors="replace") as file:
        return file.read()


def busy_ticks(stat):
    """Ticks that the processors were busy since the start, idle ones and waiting not counted."""
    for line in stat.splitlines():
        if line.startswith("cpu "):
            user, nice, system, _, _, irq, softirq = map(int, line.split()[1:8])
            return user + nice + system + irq + softirq
    raise ValueError("no line 'cpu'")


def available_bytes(meminfo):
    for line in meminfo.splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no MemAvailable")


def received_bytes(dev):
    """{interface: bytes received since it came up}."""
    found = {}
    for line in dev.splitlines():
        name, colon, figures = line.partition(":")
        if colon:
            found[name.strip()] = int(figures.split()[0])
    return found


def sectors(diskstats):
    """Sectors of 512 bytes, read and written, of all devices."""
    rows = [line.split() for line in diskstats.splitlines()]
    return sum(int(row[5]) + int(row[9]) for row in rows)


def process_ticks(stats):
    """{(pid, start): (name, ticks used)} of the lines of /proc/PID/stat."""
    found = {}
    for line in stats.splitlines():
        head, _, rest = line.rpartition(")")
        pid, _, name = head.partition(" (")
        fields = rest.split()
        if len(fields) > 19:
            found[int(pid), int(fields[19])] = name, int(fields[11]) + int(fields[12])
    return found
