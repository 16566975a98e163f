#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Watch a stream of frames: watch_frames.py TOPIC KEEP

Prints "NUMBER MD5" for each frame, and keeps the KEEP-th one it sees to the end of the stream; then
prints "kept NUMBER MD5", of the bytes as they are by then, and "end FRAMES".
"""
import hashlib
import sys

import lshm


def digest(sample):
    return hashlib.md5(sample.data).hexdigest()


def watch(subscriber, keep):
    kept = None
    for seen, sample in enumerate(subscriber, 1):
        number = sample.user[0]
        if len(sample.data) == 0:
            sample.release()
            break
        print(number, digest(sample))
        if seen == keep:
            kept = sample
        else:
            sample.release()
    if kept is not None:
        print("kept", kept.user[0], digest(kept))
        kept.release()
    print("end", number)


def main():
    topic, keep = sys.argv[1], int(sys.argv[2])
    sys.stdout.reconfigure(line_buffering=True)
    with lshm.Context(name="watch_frames") as context:
        with context.subscriber(topic, window=4, holds=4) as subscriber:
            watch(subscriber, keep)


if __name__ == "__main__":
    main()
