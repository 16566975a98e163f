#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Publish what /proc says of this machine: publish_proc.py SLOTS, from SIGUSR2 until SIGTERM

The kernel writes each file straight into the slot it is published in, 100 times a second; the
processes' files, 10 times. user[0] is a message's number. Prints "TOPIC NUMBER BYTES MD5" for each
message, at the end "end TOPIC MESSAGES"; on SIGUSR1, and at the end, "loaned COUNT of SLOTS", how
many slots of the first topic it can loan at once.
"""
import hashlib
import os
import signal
import sys
import time

import lshm

import proc

HZ, PROCESSES_EVERY = 100, 10
FILE_BYTES, PROCESSES_BYTES = 1 << 18, 1 << 20  # the longest readings
WAIT_NS = 300_000_000


class Source:
    """One topic: the files whose contents, one after the other, are a message."""

    def __init__(self, context, name, slots):
        self.name, self.count, self.slots = name, 0, slots
        self.room = PROCESSES_BYTES if name == proc.PROCESSES else FILE_BYTES
        self.fd = None if name == proc.PROCESSES else os.open(proc.FILES[name], os.O_RDONLY)
        self.publisher = context.publisher(
            proc.topic(name), payload_bytes=self.room, slot_count=slots, loans_max=slots,
            ring_entries=64, wait_ns=WAIT_NS, flags=lshm.PUBLISHER_TIMESTAMPS)

    def read_one(self, loan):
        offset, got = 0, 1
        while got and offset < self.room:
            with loan.data[offset:] as rest:
                got = os.preadv(self.fd, [rest], offset)
            offset += got
        return offset

    @staticmethod
    def read_processes(loan):
        """As many as there is room for."""
        offset = 0
        for path in proc.process_files():
            try:
                with open(path, "rb", buffering=0) as file, loan.data[offset:] as rest:
                    offset += file.readinto(rest)
            except OSError:
                continue  # it has ended
        return offset

    def publish(self):
        loan = self.loan()
        bytes_read = self.read_one(loan) if self.fd is not None else self.read_processes(loan)
        with loan.data[:bytes_read] as text:
            digest = hashlib.md5(text).hexdigest()
        loan.user = self.count, 0
        loan.publish(bytes_read)
        print(self.name, self.count, bytes_read, digest)
        self.count += 1

    def end(self):
        loan = self.loan()
        loan.user, loan.flags = (self.count, 0), proc.END
        loan.publish(0)
        print("end", self.name, self.count)

    def loan(self):
        while (loan := self.publisher.loan(self.room)) is None:
            continue  # a reader is slow
        return loan

    def loan_all(self):
        loans = []
        try:
            while len(loans) < self.slots and (loan := self.publisher.loan(self.room)):
                loans.append(loan)
        except lshm.Error:
            pass  # no slot is free
        for loan in loans:
            loan.abort()
        print(f"loaned {len(loans)} of {self.slots}", flush=True)


def run(sources):
    awaited = {signal.SIGUSR1, signal.SIGTERM}
    beat, deadline = 0, time.monotonic()
    while True:
        for source in sources:
            if source.name != proc.PROCESSES or beat % PROCESSES_EVERY == 0:
                source.publish()
        beat += 1
        deadline = max(deadline + 1 / HZ, time.monotonic() - 1 / HZ)
        while True:
            left = deadline - time.monotonic()
            asked = signal.sigtimedwait(awaited, max(left, 0))
            if asked is None:
                break
            if asked.si_signo == signal.SIGTERM:
                return
            sources[0].loan_all()


def main():
    slots = int(sys.argv[1])
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM})
    with lshm.Context(name="publish_proc") as context:
        sources = [Source(context, name, slots) for name in proc.TOPICS]
        signal.sigwait({signal.SIGUSR2})
        run(sources)
        for source in sources:
            source.end()
        sources[0].loan_all()


if __name__ == "__main__":
    main()
