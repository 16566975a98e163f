# SPDX-License-Identifier: Apache-2.0
"""The demo on video: ffmpeg -> publisher -> filter -> sink; a watcher of the unfiltered frames."""
import os
import signal
import subprocess

import frames
from chain import EX_NOT_PROVED, SLOTS, START_S, Chain, Trouble
from screen import Figures

RAW, NEGATED, TAMPERED = "video/raw", "video/negated", "video/tampered"


class VideoChain(Chain):
    watched, tampered, noun = RAW, TAMPERED, "frame"
    may_fail = ("watcher-1", "decoder")

    def __init__(self, arguments, screen, directory):
        super().__init__(arguments, screen, directory)
        self.clip = arguments.clip
        self.payload_bytes = frames.reference(self.clip, 1, directory)[0][0][0]
        self.sink = frames.Seen(self.processes.log("sink"))
        self.figures = Figures(self.payload_bytes)

    def line(self):
        self.sink.read()
        return self.figures.line(self.sink, self.inspector.slots(RAW, NEGATED))

    def example(self, name):
        return os.path.join(self.build, "libshm", "examples", name)

    def seen(self):
        return [self.sink, *self.watchers]

    def end_stream(self):
        self.processes.stop("decoder", signal.SIGKILL)

    def start_chain(self):
        size, slots = str(self.payload_bytes), str(SLOTS)
        end = NEGATED
        self.processes.start("filter", self.example("negate_frames"), RAW, NEGATED, size, slots)
        if self.sabotage in ("flip", "skip"):
            self.start_tamperer(NEGATED)
            end = TAMPERED
        self.processes.start("sink", self.example("check_frames"), end)
        self.start_watcher("watcher-1", RAW)
        ready = self.go_on(lambda: self.inspector.readers(RAW) == 2 and
                           self.inspector.readers(end) == 1, START_S)
        if not ready:
            raise Trouble("the chain does not start")

        # A new ffmpeg for each round: decoding the clip is then the same each time.
        loop = 'while "$@"; do :; done'
        decoder = self.processes.start("decoder", "sh", "-c", loop, "sh",
                                       *frames.decoder(self.clip), stdout=subprocess.PIPE)
        self.processes.start("publisher", self.example("publish_frames"), RAW, size, slots,
                             stdin=decoder.stdout)
        decoder.stdout.close()
        self.started()
        self.figures = Figures(self.payload_bytes)

    def prove(self):
        lines = self.publisher_log()
        count = int(next(line[1] for line in lines if line[0] == "published"))
        if count == 0:
            raise Trouble("no frame was published", EX_NOT_PROVED)
        for row in self.figures.table(self.sink, self.elapsed):
            self.screen.say(row)
        plain, negated = frames.reference(self.clip, count, self.directory)
        rounds = f"{count} frames, {count / len(plain):.1f} rounds of the clip"
        why = frames.compare(self.sink.frames, negated, 0, count)
        if why is None and self.sink.end != count:
            why = f"it was told of {self.sink.end} frames, not {count}"
        self.proofs.check(why is None, f"the sink got each of the {rounds}, once and in order, "
                          "with the checksums of ffmpeg -vf negate -f framemd5", why)

        self.prove_watchers(plain, count, "with the checksums of the unfiltered video")
        self.prove_slots(int(lines[-1][1]))
