# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: a live line on a terminal, else plain lines; figures; what was proved."""
import os
import sys
import textwrap
import time

PLAIN_EVERY_S, LIVE_EVERY_S = 1.0, 0.25
COLUMNS, INDENT = 100, " " * 7
STATES = ("free", "loaned", "window", "limbo", "quarantine")


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def milliseconds(values):
    return f"{percentile(values, .5) / 1e6:.1f}/{percentile(values, .99) / 1e6:.1f} ms"


class Screen:
    def __init__(self):
        self.is_live = sys.stdout.isatty()
        self.colours = self.is_live and not os.environ.get("NO_COLOR")
        self.every = LIVE_EVERY_S if self.is_live else PLAIN_EVERY_S
        self.has_live_line = False

    def paint(self, text, colour):
        return f"\x1b[{colour}m{text}\x1b[0m" if self.colours else text

    def say(self, text=""):
        """A line that stays."""
        if self.has_live_line:
            sys.stdout.write("\r\x1b[K")
            self.has_live_line = False
        print(text, flush=True)

    def show(self, text):
        """A line that the next one overwrites, where that is possible."""
        if not self.is_live:
            print(text, flush=True)
            return
        columns = os.get_terminal_size(sys.stdout.fileno()).columns or 80
        sys.stdout.write("\r\x1b[K" + text[:columns - 1])
        sys.stdout.flush()
        self.has_live_line = True


class Figures:
    """Rates, latencies and slots over time. The sink's lines are in `seen`."""

    def __init__(self, frame_bytes):
        self.frame_bytes = frame_bytes
        self.start = self.last = time.monotonic()
        self.last_count = self.last_latency = 0
        self.slots = {}  # topic: {state: (samples, sum, most)}

    def _note_slots(self, publishers):
        texts = []
        for topic, states in sorted(publishers.items(), reverse=True):
            row = self.slots.setdefault(topic, {state: (0, 0, 0) for state in STATES})
            for state in STATES:
                samples, total, most = row[state]
                row[state] = samples + 1, total + states[state], max(most, states[state])
            in_use = sum(states[state] for state in STATES if state != "free")
            texts.append(f"{topic.split('/')[-1]} {in_use}/{in_use + states['free']}")
        return ", ".join(texts) or "none"

    def line(self, seen, publishers):
        """Now; the frames are those that reached the sink since the last call."""
        now, count = time.monotonic(), len(seen.frames)
        elapsed = max(now - self.last, 1e-9)
        rate = (count - self.last_count) / elapsed
        recent = [chain for _, chain in seen.latencies[self.last_latency:]]
        text = (f"{now - self.start:5.1f} s {count:6} frames {rate:5.0f}/s "
                f"{rate * self.frame_bytes / 1e9:5.2f} GB/s  latency {milliseconds(recent)}  "
                f"slots: {self._note_slots(publishers)}")
        self.last, self.last_count, self.last_latency = now, count, len(seen.latencies)
        return text

    def table(self, seen, seconds):
        count = len(seen.frames)
        hops = [hop for hop, _ in seen.latencies]
        chains = [chain for _, chain in seen.latencies]
        speed = count * self.frame_bytes / seconds / 1e9
        rows = [f"{count} frames of {self.frame_bytes} bytes through two topics in {seconds:.1f} s:"
                f" {count / seconds:.0f} frames/s, {speed:.2f} GB/s each",
                f"latency p50/p99, queues included: filter to sink {milliseconds(hops)}, "
                f"decoder to sink {milliseconds(chains)}",
                "slots, mean (most): " + " " * 12 + "".join(f"{s:>14}" for s in STATES)]
        for topic, row in sorted(self.slots.items(), reverse=True):
            cells = [f"{total / samples:.1f} ({most})" for samples, total, most in row.values()]
            rows.append(f"  {topic:<30}" + "".join(f"{cell:>14}" for cell in cells))
        return rows


class Proofs:
    """What held and what did not."""

    def __init__(self, screen):
        self.screen = screen
        self.held, self.failed = [], []

    def check(self, is_true, claim, why=None):
        if is_true:
            self.held.append(claim)
        else:
            self.failed.append(f"{claim}: {why}" if why else claim)
            self.screen.say(self.screen.paint(f"NOT SO: {self.failed[-1]}", 31))
        return is_true

    def summary(self):
        self.screen.say()
        self.screen.say("proved:")
        for claim in self.held:
            self.screen.say(f"  {self.screen.paint('yes', 32)}  {self.indented(claim)}")
        for claim in self.failed:
            self.screen.say(f"  {self.screen.paint('NO', 31)}   {self.indented(claim)}")
        return not self.failed

    @staticmethod
    def indented(claim):
        return textwrap.fill(claim, COLUMNS - len(INDENT)).replace("\n", "\n" + INDENT)
