#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damage a stream of frames: tamper_frames.py FROM TO FRAME_BYTES flip|skip

Passes the frames of FROM on to TO, but flips one byte of the third that somebody reads, or
leaves that one out. The demo must notice either.
"""
import sys

import lshm

VICTIM = 3


def main():
    source, target, frame_bytes, how = sys.argv[1:]
    with lshm.Context(name="tamper_frames") as context:
        publisher = context.publisher(target, payload_bytes=int(frame_bytes), wait_ns=-1,
                                      flags=lshm.PUBLISHER_TIMESTAMPS)
        subscriber = context.subscriber(source, window=4)
        seen = 0
        for sample in subscriber:
            length = len(sample.data)
            seen += publisher.statistics()["readers"] > 0
            if seen != VICTIM or how != "skip":
                with publisher.loan(length) as loan:
                    loan.data[:] = sample.data
                    loan.user, loan.flags = sample.user, sample.flags
                    if seen == VICTIM:
                        loan.data[length // 2] ^= 1
            sample.release()
            if length == 0:
                break


if __name__ == "__main__":
    main()
