# SPDX-License-Identifier: Apache-2.0
"""lshm hz, bw and delay."""
import json
import signal
import statistics
import subprocess

from rig import finish, test, until


def reports(child, code=0):
    return [json.loads(line) for line in finish(child, code)[0].splitlines()]


def witness(rig, topic, count):
    """A subscriber that will know when each of `count` messages was published."""
    return rig.subscribe(topic, "--json", "--count", count)


def rate_of(messages):
    """Of those with a time, in order: how many in a second."""
    times = [message["time_ns"] for message in messages]
    return (len(times) - 1) / (times[-1] - times[0]) * 1e9


def is_near(figure, wanted):
    return abs(figure - wanted) <= 1 + 1e-4 * wanted  # JSON has whole ns, and six digits


@test
def hz_measures_the_rate_of_each_publisher(rig):
    sub = witness(rig, "rate", 90)
    hz = rig.subscribe("rate", "--by-publisher", "--json", "--interval", "200", "--count", 90,
                       command="hz")
    pubs = [rig.start("pub", "rate", "--rate", rate, "--timestamps", stdin=subprocess.PIPE)
            for rate in (100, 50)]
    for pub, count in zip(pubs, (60, 30)):
        pub.stdin.write(b"x\n" * count)
        pub.stdin.flush()
    lines, messages = reports(hz), reports(sub)
    assert [line["summary"] for line in lines] == [False] * (len(lines) - 1) + [True], lines
    last = lines[-1]
    assert len(lines) > 2 and last["messages"] == 90 and last["skipped"] == 0, last
    for publisher in last["publishers"]:
        own = [m for m in messages if m["publisher"] == publisher["publisher"]]
        assert is_near(publisher["rate"], rate_of(own)), (publisher, rate_of(own))
        interval, gaps = publisher["interval_ns"], [
            after["time_ns"] - before["time_ns"] for before, after in zip(own, own[1:])]
        assert (interval["min"], interval["max"]) == (min(gaps), max(gaps)), (interval, gaps)
        assert is_near(interval["mean"], statistics.mean(gaps)), (interval, gaps)
        assert is_near(interval["stddev"], statistics.pstdev(gaps)), (interval, gaps)
    assert sorted(p["window"] for p in last["publishers"]) == [29, 59], last
    for pub in pubs:
        finish(pub, stdin=b"")


@test
def the_window_of_hz_moves(rig):
    sub = witness(rig, "slower", 24)
    hz = rig.subscribe("slower", "--json", "--window", 5, "--interval", "50", command="hz")
    for rate in (200, 40):
        rig.run("pub", "slower", "--rate", rate, "--timestamps", stdin=b"x\n" * 12)
    while (line := json.loads(hz.stdout.readline()))["messages"] < 24:
        assert line["window"] <= 5, line
    messages = reports(sub)
    assert line["window"] == 5 and is_near(line["rate"], rate_of(messages[-6:])), line
    hz.send_signal(signal.SIGINT)
    assert is_near(reports(hz)[-1]["rate"], rate_of(messages))


@test
def bw_measures_bytes_and_sizes(rig):
    sub = witness(rig, "bytes", 3)
    bw = rig.subscribe("bytes", "--json", "--count", 3, command="bw")
    rig.run("pub", "bytes", "--rate", 20, "--timestamps", stdin=b"a\n" + b"b" * 50 + b"\nccc\n")
    last, messages = reports(bw)[-1], reports(sub)
    assert last["bytes"] == {"mean": 18, "min": 1, "max": 50}, last
    assert is_near(last["bytes_per_second"], rate_of(messages) * (50 + 3) / 2), last


@test
def delay_shows_percentiles_or_says_that_there_is_no_time(rig):
    delay = rig.subscribe("late", "--json", "--count", 20, command="delay")
    rig.run("pub", "late", "--timestamps", stdin=b"x\n" * 20)
    delays = reports(delay)[-1]["delay_ns"]
    times = [delays[part] for part in ("p50", "p90", "p99", "p999", "max")]
    assert 0 < times[0] and times == sorted(times) and times[-1] < 30e9, delays
    delay = rig.subscribe("late", "--count", 1, command="delay")
    rig.run("pub", "late", stdin=b"x\n")
    err = finish(delay, code=65)[1]
    assert err.count("\n") == 1 and "--timestamps" in err, err


@test
def latency_counts_what_subscribers_take_and_only_while_it_runs(rig):
    sub = rig.start("sub", "far", "--json")
    pub = rig.start("pub", "far", "--wait-subscribers", 1, stdin=subprocess.PIPE)

    def publish(count):
        before = len(taken)
        for _ in range(count):
            pub.stdin.write(b"x\n")
            pub.stdin.flush()
            taken.append(json.loads(sub.stdout.readline()))
        return ["time_ns" in m and m["time_ns"] is not None for m in taken[before:]]

    taken = []
    assert not any(publish(3))
    latency = rig.start("latency", "far", "--json", "--count", 20, "--interval", "forever")
    until(lambda: publish(1)[0], "messages are stamped")
    assert all(publish(20))
    last = reports(latency)[-1]
    times = [last["all"]["delay_ns"][part] for part in ("p50", "p90", "p99", "p999", "max")]
    assert last["summary"] and 20 <= last["all"]["messages"] <= len(taken) - 3, last
    assert 0 < times[0] and times == sorted(times), last
    assert [p["pid"] for p in last["pairs"]] == [sub.pid] and last["pairs"][0]["name"] == "lshm"
    until(lambda: not publish(1)[0], "messages are not stamped any more")
    text = rig.run("latency", "far", "--duration", "10").stdout.decode()
    assert text.startswith("in all\n"), text
    finish(pub, stdin=b"")
    sub.terminate()
    finish(sub)


@test
def latency_says_what_it_cannot_watch(rig):
    assert "no topic" in rig.error("latency", "never", code=65)
    rig.error("latency", "a//b", code=64)
    rig.error("latency", code=64)
    rig.error("latency", "x", "--interval", "1", code=64)


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
