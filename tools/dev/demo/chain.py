# SPDX-License-Identifier: Apache-2.0
"""What each demo does, whatever flows through its chain of processes.

A chain starts its processes, kills a watcher half-way that holds a slot, starts another one, ends
the stream and proves things. What it publishes, and what of that it proves, its subclass says.
"""
import os
import signal
import sys
import time

import frames
from inspect_broker import Inspector
from processes import Processes, wait_until
from screen import Proofs

SLOTS = 16
KEEP = 5             # the watcher keeps the 5th message it sees
START_S, END_S, HOPELESS_S = 10, 30, 2
GONE_WITHIN_S = 1.0
EX_NOT_PROVED, EX_BROKER_GONE, EX_USAGE, EX_TROUBLE = 1, 3, 64, 70
SABOTAGES = ("flip", "skip", "flip-watched", "spare-watcher", "forget-loads", "leave-process",
             "leave-file", "leave-memory")

here = os.path.dirname(os.path.abspath(__file__))
root = os.path.normpath(os.path.join(here, "..", "..", ".."))


class Trouble(Exception):
    """The demo cannot go on: text and exit status."""

    def __init__(self, text, status=EX_TROUBLE):
        super().__init__(text)
        self.status = status


class Chain:
    watched = tampered = None  # topics: the watchers', the one that a sabotage spoils
    noun = "message"           # what is published
    payload_bytes = 0          # of the watched topic
    may_fail = ("watcher-1",)  # and those that are killed

    def __init__(self, arguments, screen, directory):
        self.build, self.seconds = arguments.build, arguments.seconds
        self.sabotage = arguments.sabotage
        self.screen, self.proofs = screen, Proofs(screen)
        self.directory = directory
        self.broker_directory = os.path.join(directory, "broker")
        os.mkdir(self.broker_directory, 0o700)
        self.socket = os.path.join(self.broker_directory, "broker.sock")
        environment = dict(os.environ, LSHM_SOCKET=self.socket,
                           LSHM_LIBRARY=os.path.join(self.build, "libshm", "liblshm.so.0"),
                           PYTHONPATH=os.path.join(root, "clients", "python"),
                           PYTHONDONTWRITEBYTECODE="1")
        self.processes = Processes(directory, environment)
        self.inspector = Inspector(os.path.join(self.build, "tools", "lshm", "lshm"), self.socket)
        self.watchers = []
        self.start = time.monotonic()
        self.next_line = self.start + START_S

    # What a subclass does.

    def start_chain(self):
        """Start everything but the broker, and call started()."""
        raise NotImplementedError

    def line(self):
        """What to show now."""
        raise NotImplementedError

    def end_stream(self):
        """Make the publisher end."""
        raise NotImplementedError

    def end_of_stream(self):
        """What is to be done before the stream ends."""

    def seen(self):
        """What reads its process's log, such as a watcher."""
        return self.watchers

    def prove(self):
        raise NotImplementedError

    # The life of the chain.

    def run(self):
        self.start_broker()
        self.start_chain()
        self.go_on(lambda: time.monotonic() >= self.start + self.seconds / 2)
        self.bury_watcher()
        self.start_watcher("watcher-2",
                           self.tampered if self.sabotage == "flip-watched" else self.watched)
        self.go_on(lambda: time.monotonic() >= self.start + self.seconds)
        self.go_on(self.has_joined, START_S)
        self.end_of_stream()
        self.end_chain()
        self.prove()
        self.stop_broker()

    def started(self):
        self.start = time.monotonic()
        self.next_line = self.start + self.screen.every

    def go_on(self, is_over, seconds=None):
        """Show what happens until is_over(); False if it is not after `seconds`."""
        end = None if seconds is None else time.monotonic() + seconds
        while not is_over():
            now = time.monotonic()
            if end is not None and now >= end:
                return False
            if self.processes.running["broker"].poll() is not None:
                raise Trouble(self.processes.complaint("broker"), EX_BROKER_GONE)
            for name in self.processes.failed():
                if name not in self.may_fail:
                    raise Trouble(self.processes.complaint(name), EX_NOT_PROVED)
            if now >= self.next_line:
                self.next_line = now + self.screen.every
                self.processes.note_memory_files()
                self.screen.show(self.line())
            time.sleep(0.01)
        return True

    def patience(self, seconds):
        return min(seconds, HOPELESS_S) if self.proofs.failed else seconds

    def start_broker(self):
        brokerd = os.path.join(self.build, "brokerd", "brokerd")
        broker = self.processes.start("broker", brokerd, "--foreground", "--socket", self.socket,
                                      last_signal=signal.SIGTERM)
        wait_until(lambda: broker.poll() is not None or self.inspector.worker(), START_S)
        if broker.poll() is not None:
            raise Trouble(f"the broker does not start: {self.processes.complaint('broker')}")
        self.screen.say(f"broker: keeper {broker.pid}, worker {self.inspector.worker()}, "
                        f"socket {self.socket}")

    def start_watcher(self, name, topic):
        if topic == self.tampered:
            self.start_tamperer(self.watched)
        self.processes.start(name, sys.executable, os.path.join(here, "watch_frames.py"), topic,
                             str(KEEP))
        self.watchers.append(frames.Seen(self.processes.log(name)))

    def has_joined(self):
        """The last watcher has seen more than the one it keeps."""
        self.watchers[-1].read()
        return len(self.watchers[-1].frames) > KEEP

    def start_tamperer(self, source):
        how = "skip" if self.sabotage == "skip" else "flip"
        self.processes.start("tamperer", sys.executable, os.path.join(here, "tamper_frames.py"),
                             source, self.tampered, str(self.payload_bytes), how)
        self.go_on(lambda: self.inspector.slots(self.tampered), START_S)

    def loanable(self):
        """How many slots the publisher can loan at once: it tries."""
        path, answers = self.processes.log("publisher"), []

        def read():
            with open(path, encoding="ascii") as file:
                lines = [line.split() for line in file if line.endswith("\n")]
            return [words for words in lines if words[:1] == ["loaned"]]

        before = len(read())
        os.kill(self.processes.running["publisher"].pid, signal.SIGUSR1)
        self.go_on(lambda: answers.extend(read()[before:]) or answers, self.patience(START_S))
        return int(answers[0][1]) if answers else 0

    def bury_watcher(self):
        """Kill a client that is shown to hold a slot; the slot comes back."""
        pid = self.processes.running["watcher-1"].pid
        self.go_on(lambda: self.inspector.holds(pid), START_S)
        self.processes.note_memory_files()
        held = self.inspector.holds(pid)
        while_held = self.loanable()
        self.proofs.check(
            held and while_held == SLOTS - len(held),
            f"the watcher, process {pid}, held {self.noun} {held[0] if held else '?'}: lshm holders"
            f" named it, and the publisher could loan {while_held} of {SLOTS} slots",
            f"held {held}, {while_held} of {SLOTS} slots could be loaned")
        self.screen.say(f"half-way: killing the watcher, process {pid}")
        start = time.monotonic()
        number = signal.SIGSTOP if self.sabotage == "spare-watcher" else signal.SIGKILL
        self.processes.stop("watcher-1", number)
        wait_until(lambda: not self.inspector.is_holder(pid), GONE_WITHIN_S)
        seconds = time.monotonic() - start
        is_gone = self.inspector.is_holder(pid) is False
        self.proofs.check(is_gone and seconds < GONE_WITHIN_S,
                          f"killed with SIGKILL, it was gone from lshm holders within 1 s "
                          f"({seconds * 1e3:.0f} ms)", f"still there after {seconds:.1f} s")
        counts = []
        wait_until(lambda: counts.append(self.loanable()) or counts[-1] == SLOTS, GONE_WITHIN_S)
        self.proofs.check(counts[-1] == SLOTS, f"then the publisher could loan all {SLOTS} slots",
                          f"only {counts[-1]}")

    def end_chain(self):
        """No more messages; each process ends when it has seen the end of the stream."""
        self.end_stream()
        names = [name for name in self.processes.running if name not in ("broker", "watcher-1")]

        def have_ended():
            return all(self.processes.running[name].poll() is not None for name in names)

        if not self.go_on(have_ended, self.patience(END_S)):
            left = [name for name in names if self.processes.running[name].poll() is None]
            raise Trouble(f"the stream ended, but not: {', '.join(left)}", EX_NOT_PROVED)
        self.elapsed = time.monotonic() - self.start
        for seen in self.seen():
            seen.read()

    def stop_broker(self):
        self.processes.note_memory_files()
        own_fd = self.leave_something()
        self.processes.stop("broker", signal.SIGTERM)
        status = self.processes.wait("broker", START_S)
        self.proofs.check(status == 0, "the broker ended with 0 when told to", f"status {status}")
        self.processes.stop("watcher-1", signal.SIGKILL)
        self.processes.wait("watcher-1", START_S)
        left = self.processes.left_over()
        left += [os.path.join(self.broker_directory, name)
                 for name in os.listdir(self.broker_directory)]
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as sockets:
            left += [f"socket {line.split()[-1]}" for line in sockets if self.directory in line]
        self.proofs.check(not left, "nothing is left: no process, no socket, no file, none of its "
                          f"{len(self.processes.memory_files)} memory files", "; ".join(left))
        if own_fd is not None:
            os.close(own_fd)

    # What every chain proves.

    def publisher_log(self):
        with open(self.processes.log("publisher"), encoding="ascii") as file:
            return [line.split() for line in file]

    def prove_watchers(self, expected, count, likeness):
        """They saw what was published: [(bytes, MD5)] of all `count` messages, or of one round."""
        noun = self.noun
        killed, joined = (watcher.frames for watcher in self.watchers)
        why = frames.compare(killed, expected, 0, len(killed)) if killed else "it saw none"
        self.proofs.check(why is None, f"the watcher saw the first {len(killed)} {noun}s before it "
                          f"was killed, {likeness}", why)
        first = joined[0][0] if joined else count
        why = frames.compare(joined, expected, first, count) if joined else "it saw none"
        self.proofs.check(why is None, f"a watcher that joined at {noun} {first} saw every {noun} "
                          f"from there to the last, likewise", why)
        kept = self.watchers[-1].kept
        self.proofs.check(kept is not None and kept in joined,
                          f"the {noun} it kept until the end, {kept[0] if kept else '?'}, had not "
                          "changed by then", f"kept {kept}")

    def prove_slots(self, loaned):
        self.proofs.check(loaned == SLOTS, f"at the end the publisher could loan all {SLOTS} slots",
                          f"only {loaned}")

    def leave_something(self):
        """What the proof that nothing is left must find."""
        if self.sabotage == "leave-process":
            self.processes.start("leaver", "sh", "-c", "sleep 600 & exit 0")
            self.processes.wait("leaver", START_S)
        elif self.sabotage == "leave-file":
            with open(os.path.join(self.broker_directory, "left"), "wb"):
                pass
        elif self.sabotage == "leave-memory":
            directory = f"/proc/{self.processes.running['broker'].pid}/fd"
            for name in os.listdir(directory):
                if os.readlink(f"{directory}/{name}").startswith("/memfd:lshm"):
                    return os.open(f"{directory}/{name}", os.O_RDONLY)
        return None
