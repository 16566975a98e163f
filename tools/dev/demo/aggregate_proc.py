#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make figures of /proc's texts: aggregate_proc.py CPU_TOPIC

Reads every message of publish_proc.py and prints "TOPIC NUMBER MD5 LATENCY_NS" for it. With every
tenth of the processors it publishes what was used since the one before, as JSON on live/load, and
prints "load NUMBER MD5".
"""
import hashlib
import json
import select
import sys
import time

import lshm

import proc

EVERY = 10
TOP = 64
LOAD = "live/load"


class Load:
    """Figures since the last one, of the latest text of each topic."""

    def __init__(self):
        self.before, self.now = None, {}

    def note(self, name, text):
        parsers = {"cpu": proc.busy_ticks, "memory": proc.available_bytes,
                   "network": proc.received_bytes, "disks": proc.sectors,
                   "processes": proc.process_ticks}
        self.now[name] = parsers[name](text)

    def take(self, time_ns):
        """A dict, or None as long as there is nothing to compare with."""
        now, before = dict(self.now, time_ns=time_ns), self.before
        if len(self.now) < len(proc.TOPICS):
            return None
        self.before = now
        if before is None:
            return None
        used = []
        for key, (name, ticks) in now["processes"].items():
            was = before["processes"].get(key, (name, 0))[1]
            used.append((ticks - was, key[0], name))
        used.sort(reverse=True)
        return {
            "interval_ns": time_ns - before["time_ns"],
            "busy_ticks": now["cpu"] - before["cpu"],
            "available_bytes": now["memory"],
            "received": {name: count - before["network"].get(name, 0)
                         for name, count in now["network"].items()},
            "sectors": now["disks"] - before["disks"],
            "processes": len(now["processes"]),
            "top": [row for row in used[:TOP] if row[0] > 0],
        }


class Aggregator:
    def __init__(self, context, cpu_topic):
        topics = {name: proc.topic(name) for name in proc.TOPICS}
        topics["cpu"] = cpu_topic
        self.publisher = context.publisher(LOAD, payload_bytes=1 << 16, slot_count=16, wait_ns=-1,
                                           flags=lshm.PUBLISHER_TIMESTAMPS)
        self.open = {name: context.subscriber(topic) for name, topic in topics.items()}
        self.load, self.count = Load(), 0

    def take(self, name, sample):
        latency = time.monotonic_ns() - sample.time_ns
        print(name, sample.user[0], hashlib.md5(sample.data).hexdigest(), latency)
        try:
            self.load.note(name, str(sample.data, "utf-8", "replace"))
        except (ValueError, IndexError):
            return  # it was spoilt on the way; its MD5 says so
        if name == "cpu" and sample.user[0] % EVERY == 0:
            self.publish(self.load.take(sample.time_ns), sample.time_ns)

    def publish(self, load, origin_ns):
        if load is not None:
            text = json.dumps(load).encode()
            self.publisher.send(text, user=(self.count, origin_ns))
            print("load", self.count, hashlib.md5(text).hexdigest())
            self.count += 1

    def take_all(self):
        for name, subscriber in list(self.open.items()):
            while (sample := subscriber.take()) is not None:
                with sample:
                    is_end = sample.flags & proc.END
                    if not is_end:
                        self.take(name, sample)
                if is_end:
                    del self.open[name]
                    break

    def end(self):
        with self.publisher.loan(0) as loan:
            loan.user, loan.flags = (self.count, 0), proc.END
        print("end load", self.count)


def main():
    sys.stdout.reconfigure(line_buffering=True)
    with lshm.Context(name="aggregate_proc") as context:
        aggregator, poll = Aggregator(context, sys.argv[1]), select.poll()
        poll.register(context.fileno(), select.POLLIN)
        while aggregator.open:
            aggregator.take_all()
            if aggregator.open:
                poll.poll()
        aggregator.end()


if __name__ == "__main__":
    main()
