#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The end of the chain: show_load.py

Prints "NUMBER MD5 SINCE_PUBLISHED_NS SINCE_ORIGIN_NS JSON" for each load, at the end "end LOADS".
"""
import hashlib
import sys
import time

import lshm

import proc
from aggregate_proc import LOAD


def main():
    sys.stdout.reconfigure(line_buffering=True)
    with lshm.Context(name="show_load") as context, context.subscriber(LOAD) as subscriber:
        for sample in subscriber:
            with sample:
                if sample.flags & proc.END:
                    print("end", sample.user[0])
                    break
                now = time.monotonic_ns()
                print(sample.user[0], hashlib.md5(sample.data).hexdigest(), now - sample.time_ns,
                      now - sample.user[1], str(sample.data, "utf-8"))


if __name__ == "__main__":
    main()
