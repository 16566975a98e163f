# SPDX-License-Identifier: Apache-2.0
"""What ffmpeg says the frames are, and what the processes of the chain saw."""
import os
import subprocess

PIXELS = "yuv420p"


FFMPEG = ["ffmpeg", "-nostdin", "-v", "error"]


def output(*options, negate=False):
    """Options for one output of ffmpeg, whose every frame is one of the video's."""
    chain = f"format={PIXELS}" + (",negate" if negate else "")
    return ["-map", "0:v:0", "-vf", chain, "-fps_mode", "passthrough", *options]


def decoder(clip):
    """The command that writes the frames of a clip, once."""
    return [*FFMPEG, "-i", clip, *output("-f", "rawvideo", "pipe:1")]


def _read_framemd5(path):
    """[(bytes, MD5)], one for each frame."""
    with open(path, encoding="utf-8") as file:
        rows = [line.split(",") for line in file if line[0] != "#"]
    return [(int(row[4]), row[5].strip()) for row in rows]


def reference(clip, count, directory):
    """The first `count` frames of a clip, or all it has, as they are and negated."""
    paths = [os.path.join(directory, f"{name}.framemd5") for name in ("plain", "negated")]
    limits = ["-frames:v", str(count), "-f", "framemd5", "-y"]
    result = subprocess.run([*FFMPEG, "-i", clip, *output(*limits, paths[0]),
                             *output(*limits, paths[1], negate=True)],
                            stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = [_read_framemd5(path) for path in paths if os.path.exists(path)]
    if result.returncode != 0 or len(found) != 2 or not found[0]:
        raise RuntimeError(f"ffmpeg finds no frames in {clip}: {result.stderr.strip()}")
    return found


class Seen:
    """The lines that a process prints, read while it goes on."""

    def __init__(self, path):
        self.path, self.offset = path, 0
        self.frames = []     # (number, MD5)
        self.latencies = []  # ns: (since published, since its origin was published)
        self.texts = []      # what follows them on the line
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
            fields = line.split(maxsplit=4)
            if fields[0] == "end":
                self.end = int(fields[1])
            elif fields[0] == "kept":
                self.kept = int(fields[1]), fields[2]
            else:
                self.frames.append((int(fields[0]), fields[1]))
                if len(fields) >= 4:
                    self.latencies.append((int(fields[2]), int(fields[3])))
                self.texts += fields[4:]


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
