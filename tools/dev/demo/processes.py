# SPDX-License-Identifier: Apache-2.0
"""The demo's processes: none outlives it, and what one of them leaves behind is found.

The demo is the reaper of all its descendants, so that an orphan becomes its child instead of
getting lost; and the kernel kills its children when it dies itself.
"""
import ctypes
import glob
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ERROR_LINES = 5

_libc = ctypes.CDLL(None, use_errno=True)


def wait_until(condition, seconds, step=0.005):
    """The first true value of condition(), or its last one when the time is over."""
    end = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < end:
        time.sleep(step)
    return value


def _memory_files_of(pid):
    """The (device, inode) of each memory file of lshm that a process has open or mapped."""
    files = set()
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                fields = line.split(maxsplit=5)
                if len(fields) == 6 and fields[5].startswith("/memfd:lshm"):
                    major, minor = (int(number, 16) for number in fields[3].split(":"))
                    files.add((os.makedev(major, minor), int(fields[4])))
        for link in glob.glob(f"/proc/{pid}/fd/*"):
            if os.readlink(link).startswith("/memfd:lshm"):
                status = os.stat(link)
                files.add((status.st_dev, status.st_ino))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # it ended, or is not ours
    return files


def _parent_and_name(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            name, rest = stat.read().rsplit(")", 1)
    except (FileNotFoundError, ProcessLookupError):
        return None, ""
    return int(rest.split()[1]), name.split("(", 1)[1]


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def children():
    """{pid: name} of this process's children, adopted ones too."""
    found = {}
    for pid in _pids():
        parent, name = _parent_and_name(pid)
        if parent == os.getpid():
            found[pid] = name
    return found


class Processes:
    def __init__(self, log_dir, environment):
        self.log_dir, self.environment = log_dir, environment
        self.running = {}  # name: Popen
        self.memory_files = set()
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def log(self, name, kind="out"):
        return os.path.join(self.log_dir, f"{name}.{kind}")

    def start(self, name, *command, stdin=subprocess.DEVNULL, stdout=None, last_signal=None):
        """Start it in a process group of its own; output goes to its log, or to a pipe."""
        def prepare():
            os.setpgid(0, 0)
            _libc.prctl(PR_SET_PDEATHSIG, last_signal or signal.SIGKILL, 0, 0, 0)

        with open(self.log(name), "wb") as out, open(self.log(name, "err"), "wb") as error:
            self.running[name] = subprocess.Popen(
                command, stdin=stdin, stdout=stdout or out, stderr=error, env=self.environment,
                preexec_fn=prepare)
        return self.running[name]

    def wait(self, name, seconds):
        """Its exit status, or None when it is still there."""
        try:
            return self.running[name].wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, name, number):
        """Signal its process group."""
        process = self.running[name]
        if process.poll() is None:
            os.killpg(process.pid, number)

    def failed(self):
        """Names of those that ended by themselves with something else than 0."""
        return [name for name, process in self.running.items() if process.poll() not in (None, 0)]

    def complaint(self, name):
        with open(self.log(name, "err"), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()[-ERROR_LINES:]
        status = self.running[name].returncode
        how = f"was killed by signal {-status}" if status < 0 else f"ended with {status}"
        return f"the {name} {how}" + "".join(f"\n  {line}" for line in lines)

    def note_memory_files(self):
        """Remember every memory file that any child has now."""
        for pid in children():
            self.memory_files |= _memory_files_of(pid)

    def left_over(self):
        """Text for each process, and each memory file noted, that is still there."""
        def look():
            self._reap()
            return [f"process {pid} ({name})" for pid, name in children().items()]

        wait_until(lambda: not look(), 1)
        files = [f"memory file {inode} in process {pid}"
                 for pid in _pids() for _, inode in _memory_files_of(pid) & self.memory_files]
        return look() + files

    def _reap(self):
        """Take leave of adopted children that have ended."""
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            pass

    def kill_all(self):
        """End everything, whatever state it is in."""
        for process in self.running.values():
            if process.poll() is None:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    process.kill()
        for process in self.running.values():
            process.wait()
        while remaining := children():
            for pid in remaining:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self._reap()
            time.sleep(0.005)
