# SPDX-License-Identifier: Apache-2.0
"""The demo on this machine's /proc: publisher of five topics -> aggregator -> sink; a watcher."""
import json
import os
import signal
import socket
import sys
import time

import frames
import proc
from chain import SLOTS, START_S, Chain, Trouble, here
from screen import milliseconds

CPU, TAMPERED, LOAD = proc.topic("cpu"), "live/tampered", "live/load"
PAYLOAD_BYTES = 1 << 18
LOOPBACK_BYTES = 4 << 20
BURN_S = 0.5
BURN = f"import time\nwhile time.process_time() < {BURN_S}: pass"
AGREES_FROM = 0.5  # of the processor time that a process used, what must have been shown of it


class Readings:
    """The machine's own counters, when the demo reads them itself."""

    def __init__(self):
        self.busy_ticks = proc.busy_ticks(proc.read("cpu"))
        self.received = proc.received_bytes(proc.read("network")).get("lo", 0)

    def since(self, before):
        return self.busy_ticks - before.busy_ticks, self.received - before.received


class Traffic:
    """Bytes that the demo sends to itself through the loopback interface."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))

    def send(self, count):
        with socket.create_connection(self.listener.getsockname()) as sender:
            receiver, _ = self.listener.accept()
            with receiver:
                block, left = bytes(1 << 14), count
                while left > 0:
                    sender.sendall(block)
                    got = len(block)
                    while got > 0:
                        got -= len(receiver.recv(got))
                    left -= len(block)


class LiveChain(Chain):
    watched, tampered, noun, payload_bytes = CPU, TAMPERED, "reading", PAYLOAD_BYTES

    def __init__(self, arguments, screen, directory):
        super().__init__(arguments, screen, directory)
        self.sink = frames.Seen(self.processes.log("sink"))
        self.loads, self.shown = [], 0
        self.traffic = Traffic()
        self.burner = None  # (pid, seconds of processor time)

    def seen(self):
        return [self.sink, *self.watchers]

    def script(self, process, name, *arguments):
        self.processes.start(process, sys.executable, os.path.join(here, name), *arguments)

    def start_chain(self):
        spoilt = self.sabotage in ("flip", "skip")
        self.script("publisher", "publish_proc.py", str(SLOTS))
        self.script("sink", "show_load.py")
        self.start_watcher("watcher-1", CPU)
        if spoilt:
            self.start_tamperer(CPU)
        self.script("aggregator", "aggregate_proc.py", TAMPERED if spoilt else CPU)
        ready = self.go_on(lambda: self.inspector.readers(CPU) == 2 and
                           self.inspector.readers(TAMPERED) == spoilt and
                           all(self.inspector.readers(proc.topic(name)) == 1
                               for name in proc.TOPICS[1:]) and
                           self.inspector.readers(LOAD) == 1, START_S)
        if not ready:
            raise Trouble("the chain does not start")
        self.outer = Readings()
        os.kill(self.processes.running["publisher"].pid, signal.SIGUSR2)
        self.started()
        self.go_on(lambda: self.read_loads(), START_S)
        self.inner = Readings()

    def read_loads(self):
        self.sink.read()
        self.loads += map(json.loads, self.sink.texts[len(self.loads):])
        return len(self.loads)

    def line(self):
        self.read_loads()
        new, latencies = self.loads[self.shown:], self.sink.latencies[self.shown:]
        self.shown = len(self.loads)
        seconds = sum(load["interval_ns"] for load in new) / 1e9
        if not new or not seconds:
            return f"{time.monotonic() - self.start:5.1f} s  nothing new"
        busy = sum(load["busy_ticks"] for load in new) / proc.TICKS_S / seconds / os.cpu_count()
        received = sum(sum(load["received"].values()) for load in new) / seconds
        blocks = sum(load["sectors"] for load in new) * 512 / seconds
        top = {}
        for ticks, pid, name in (row for load in new for row in load["top"]):
            top[pid, name] = top.get((pid, name), 0) + ticks / proc.TICKS_S / seconds
        most = max(top, key=top.get, default=(0, "none"))
        return (f"{time.monotonic() - self.start:5.1f} s  cpu {busy:4.0%}  available "
                f"{new[-1]['available_bytes'] / 2**30:.1f} GiB  network {received / 1e6:.2f} MB/s  "
                f"disks {blocks / 1e6:.2f} MB/s  {new[-1]['processes']} processes, most "
                f"{most[1]} {top.get(most, 0):.0%}  latency "
                f"{milliseconds([chain for _, chain in latencies])}")

    def end_of_stream(self):
        """Do what must be seen, and wait until a load has been made since."""
        start = os.times()
        self.traffic.send(LOOPBACK_BYTES)
        self.processes.start("burner", sys.executable, "-c", BURN)
        self.go_on(lambda: self.processes.running["burner"].poll() is not None, START_S)
        end = os.times()
        used = end.children_user + end.children_system - start.children_user - start.children_system
        self.burner = self.processes.running["burner"].pid, used
        self.inner_used = Readings().since(self.inner)
        count = self.read_loads()
        self.go_on(lambda: self.read_loads() > count + 1, START_S)

    def end_stream(self):
        self.processes.stop("publisher", signal.SIGTERM)

    def prove(self):
        outer_used = Readings().since(self.outer)
        self.read_loads()
        if self.sabotage == "forget-loads":
            del self.loads[::2]
        published = {name: [] for name in proc.TOPICS}
        loaned = 0
        for fields in self.publisher_log():
            if fields[0] in published:
                published[fields[0]].append((int(fields[2]), fields[3]))
            elif fields[0] == "loaned":
                loaned = int(fields[1])
        self.show_table(published)
        self.prove_arrival(published)
        self.prove_loads(outer_used)
        self.prove_watchers(published["cpu"], len(published["cpu"]),
                            "as the kernel wrote them")
        self.prove_slots(loaned)

    def show_table(self, published):
        count = sum(map(len, published.values()))
        size = sum(size for rows in published.values() for size, _ in rows)
        hops = [hop for hop, _ in self.sink.latencies]
        self.screen.say(f"{count} readings of {len(published)} topics, {size / 1e6:.1f} MB in "
                        f"{self.elapsed:.1f} s; {len(self.loads)} loads made of them")
        self.screen.say(f"latency p50/p99: readings to the aggregator "
                        f"{milliseconds(self.arrived()[1])}, loads to the sink "
                        f"{milliseconds(hops)}")

    def arrived(self):
        """({topic: [(number, MD5)]}, [latency]) of the aggregator."""
        found, latencies = {name: [] for name in (*proc.TOPICS, "load")}, []
        with open(self.processes.log("aggregator"), encoding="ascii") as file:
            for fields in map(str.split, file):
                if fields[0] in found:
                    found[fields[0]].append((int(fields[1]), fields[2]))
                    latencies += map(int, fields[3:])
        return found, latencies

    def prove_arrival(self, published):
        arrived, _ = self.arrived()
        for name, rows in published.items():
            why = frames.compare(arrived[name], rows, 0, len(rows)) if rows else "there was none"
            self.proofs.check(why is None, f"the aggregator got each of the {len(rows)} readings "
                              f"of {name}, once and in order, as the kernel wrote them", why)
        made = [(0, digest) for _, digest in arrived["load"]]
        why = frames.compare(self.sink.frames, made, 0, len(made)) if made else "there was none"
        if why is None and self.sink.end != len(made):
            why = f"it was told of {self.sink.end} loads, not {len(made)}"
        self.proofs.check(why is None, f"the sink got each of the {len(made)} loads, once and in "
                          "order", why)

    def prove_loads(self, outer_used):
        """The sums of what was shown lie between what the demo read inside of it and around it."""
        shown = (sum(load["busy_ticks"] for load in self.loads),
                 sum(load["received"].get("lo", 0) for load in self.loads))
        for name, least, sum_shown, most in zip(
                ("ticks of busy processors", "bytes through the loopback"), self.inner_used, shown,
                outer_used):
            self.proofs.check(least <= sum_shown <= most, f"all loads together show {sum_shown} "
                              f"{name}: /proc says {least} for a shorter and {most} for a longer "
                              "time")
        self.proofs.check(shown[1] >= LOOPBACK_BYTES, f"among them the {LOOPBACK_BYTES} bytes that "
                          "the demo sent to itself")
        pid, used = self.burner
        seen = sum(ticks for load in self.loads for ticks, shown_pid, _ in load["top"]
                   if shown_pid == pid) / proc.TICKS_S
        self.proofs.check(used * AGREES_FROM <= seen <= used + 2 / proc.TICKS_S,
                          f"a process, {pid}, that used {used:.2f} s of processor time was shown "
                          f"with {seen:.2f} s")
