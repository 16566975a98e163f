# SPDX-License-Identifier: Apache-2.0
"""What ffmpeg says the frames are, and what the processes of the chain saw."""
import os
import subprocess

PIXELS = "yuv420p"


def ffmpeg(clip, *options):
    return ["ffmpeg", "-nostdin", "-v", "error", "-i", clip, "-map", "0:v:0", *options]


def filters(negate=False):
    chain = f"format={PIXELS}" + (",negate" if negate else "")
    return ["-vf", chain, "-fps_mode", "passthrough"]


def _read_framemd5(text):
    """[(bytes, MD5)], one for each frame."""
    rows = [line.split(",") for line in text.splitlines() if line and line[0] != "#"]
    return [(int(row[4]), row[5].strip()) for row in rows]


def reference(clip, negate, count):
    """The first `count` frames of a clip, or all it has: [(bytes, MD5)]."""
    command = ffmpeg(clip, *filters(negate), "-frames:v", str(count), "-f", "framemd5", "pipe:1")
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    frames = _read_framemd5(result.stdout)
    if result.returncode != 0 or not frames:
        raise RuntimeError(f"ffmpeg finds no frames in {clip}: {result.stderr.strip()}")
    return frames


class Seen:
    """The lines that a process prints, read while it goes on."""

    def __init__(self, path):
        self.path, self.offset = path, 0
        self.frames = []     # (number, MD5)
        self.latencies = []  # ns: (since published, since its origin was published)
        self.kept = None     # (number, MD5) when the stream had ended
        self.end = None      # number of frames, when the stream has ended

    def read(self):
        if not os.path.exists(self.path):
            return
        with open(self.path, encoding="ascii") as file:
            file.seek(self.offset)
            text = file.read()
        complete = text[:text.rfind("\n") + 1]
        self.offset += len(complete)
        for line in complete.splitlines():
            fields = line.split()
            if fields[0] == "end":
                self.end = int(fields[1])
            elif fields[0] == "kept":
                self.kept = int(fields[1]), fields[2]
            else:
                self.frames.append((int(fields[0]), fields[1]))
                if len(fields) == 4:
                    self.latencies.append((int(fields[2]), int(fields[3])))


def compare(seen, expected, first, end):
    """Why `seen` is not frames first … end-1 of the looped clip `expected`; None if it is."""
    for position, (number, md5) in enumerate(seen):
        if number != first + position:
            return f"frame {first + position} is missing, {number} came in its place"
        if number >= end:
            return f"frame {number} was never published"
        if md5 != expected[number % len(expected)][1]:
            return f"frame {number} has MD5 {md5}, not {expected[number % len(expected)][1]}"
    if first + len(seen) != end:
        return f"frame {first + len(seen)} is missing, and all after it"
    return None
