# SPDX-License-Identifier: Apache-2.0
"""lshm hz, bw and delay."""
import json
import signal
import subprocess

from rig import finish, test, until


def reports(child, code=0):
    return [json.loads(line) for line in finish(child, code)[0].splitlines()]


@test
def hz_measures_the_rate_of_each_publisher(rig):
    hz = rig.subscribe("rate", "--by-publisher", "--json", "--interval", "200", "--count", 90,
                       command="hz")
    pubs = [rig.start("pub", "rate", "--rate", rate, "--timestamps", stdin=subprocess.PIPE)
            for rate in (100, 50)]
    for pub in pubs:
        pub.stdin.write(b"x\n" * 120)
        pub.stdin.flush()
    lines = reports(hz)
    assert [line["summary"] for line in lines] == [False] * (len(lines) - 1) + [True], lines
    last = lines[-1]
    assert len(lines) > 2 and last["messages"] == 90 and last["skipped"] == 0, last
    rates = sorted(p["rate"] for p in last["publishers"])
    assert abs(rates[0] - 50) < 5 and abs(rates[1] - 100) < 10, rates
    interval = next(p for p in last["publishers"] if p["rate"] > 75)["interval_ns"]
    assert interval["min"] <= interval["mean"] <= interval["max"], interval
    assert 9e6 < interval["mean"] < 11e6 and interval["stddev"] <= interval["max"], interval
    for pub in pubs:
        finish(pub, stdin=b"")


@test
def the_window_of_hz_moves(rig):
    hz = rig.subscribe("slower", "--json", "--window", 5, "--interval", "50", "--duration", "1500",
                       command="hz")
    for rate in (200, 20):
        rig.run("pub", "slower", "--rate", rate, "--timestamps", stdin=b"x\n" * 12)
    lines = [line for line in reports(hz) if line["new"] > 0 and not line["summary"]]
    assert all(line["window"] <= 5 for line in lines), lines
    assert abs(lines[-1]["rate"] - 20) < 4, lines[-1]


@test
def bw_measures_bytes_and_sizes(rig):
    bw = rig.subscribe("bytes", "--json", "--count", 3, command="bw")
    rig.run("pub", "bytes", "--rate", 20, "--timestamps", stdin=b"a\n" + b"b" * 50 + b"\nccc\n")
    last = reports(bw)[-1]
    assert last["bytes"] == {"mean": 18, "min": 1, "max": 50}, last
    assert 450 < last["bytes_per_second"] < 590, last  # 53 bytes in two intervals of 50 ms


@test
def delay_shows_percentiles_or_says_that_there_is_no_time(rig):
    delay = rig.subscribe("late", "--json", "--count", 20, command="delay")
    rig.run("pub", "late", "--timestamps", stdin=b"x\n" * 20)
    delays = reports(delay)[-1]["delay_ns"]
    assert 0 < delays["p50"] <= delays["p90"] <= delays["p99"] <= delays["max"] < 30e9, delays
    delay = rig.subscribe("late", "--count", 1, command="delay")
    rig.run("pub", "late", stdin=b"x\n")
    err = finish(delay, code=65)[1]
    assert err.count("\n") == 1 and "--timestamps" in err, err


@test
def watching_nothing_exits_75_after_its_duration(rig):
    for command in ("hz", "bw", "delay"):
        assert "nothing was published" in rig.error(command, "silent", "--duration", "50", code=75)


@test
def a_signal_ends_hz_with_a_summary(rig):
    hz = rig.subscribe("rate", command="hz")
    rig.run("pub", "rate", stdin=b"x\n" * 10)
    until(lambda: rig.json("topic", "info", "rate")["subscribers"][0]["publisher"] is None,
          "all is read")
    hz.send_signal(signal.SIGINT)
    out = finish(hz)[0].decode()
    assert "in all 10 messages" in out and "msg/s" in out.splitlines()[-1], out


@test
def a_stopped_hz_holds_nobody_back_and_counts_what_it_skipped(rig):
    hz = rig.subscribe("fast", "--json", "--interval", "forever", command="hz")
    hz.send_signal(signal.SIGSTOP)
    rig.run("pub", "fast", "--ring", 64, "--wait", "0", stdin=b"x\n" * 5000)
    hz.send_signal(signal.SIGCONT)
    until(lambda: rig.json("topic", "info", "fast")["subscribers"][0]["publisher"] is None,
          "what is left is read")
    hz.send_signal(signal.SIGINT)
    last = reports(hz)[-1]
    assert last["messages"] + last["skipped"] == 5000 and last["skipped"] >= 4900, last
