# SPDX-License-Identifier: Apache-2.0
"""What slow and late subscribers get: sub --latest, --limit, --history; pub --drop-newest and
--retain; topic rm."""
import re
import resource
import signal
import subprocess

from rig import finish, test, until


def publish_past(rig, topic, lines, *options):
    """Publish, all but the first line while the subscriber is stopped: what it prints and says."""
    sub = rig.subscribe(topic, *options)
    pub = rig.start("pub", topic, "--ring", 64, "--wait", "0", stdin=subprocess.PIPE)
    first, rest = lines.split(b"\n", 1)
    pub.stdin.write(first + b"\n")
    pub.stdin.flush()
    until(lambda: rig.json("topic", "info", topic)["subscribers"][0]["taken"], "one is taken")
    sub.send_signal(signal.SIGSTOP)
    finish(pub, stdin=rest)
    sub.send_signal(signal.SIGCONT)
    until(lambda: rig.json("topic", "info", topic)["subscribers"][0]["publisher"] is None,
          "what is left is read")
    sub.send_signal(signal.SIGINT)
    return finish(sub)


def numbered(first, end):
    return b"".join(b"%d\n" % number for number in range(first, end))


@test
def sub_latest_loses_its_oldest_and_counts_them(rig):
    out, err = publish_past(rig, "fast", numbered(0, 5000), "--latest")
    count = out.count(b"\n")
    lost = int(re.match(r"lshm sub: (\d+) messages were lost", err)[1])
    assert count > 1 and out == numbered(0, 1) + numbered(5001 - count, 5000), out[:100]
    assert count + lost == 5000 and "written over" in err, err


@test
def sub_limit_skips_what_is_further_behind(rig):
    out, err = publish_past(rig, "fast", numbered(0, 60), "--latest", "--limit", 5)
    assert out == numbered(0, 1) + numbered(55, 60), out
    assert "54 were beyond --limit" in err, err
    assert "--limit needs --latest" in rig.error("sub", "fast", "--limit", 5, code=64)


@test
def sub_history_begins_with_what_pub_kept(rig):
    pub = rig.start("pub", "kept/back", "--history", 3, stdin=subprocess.PIPE)
    pub.stdin.write(numbered(0, 10))
    pub.stdin.flush()
    until(lambda: rig.topic("kept/back")["published"] == 10, "ten messages are published")
    for history, first in ((2, 8), (3, 7), (100, 7)):
        sub = rig.start("sub", "kept/back", "--history", history, "--count", 10 - first)
        assert finish(sub)[0] == numbered(first, 10), history
    rig.error("sub", "kept/back", "--timeout", "200", code=75)
    finish(pub, stdin=b"")


@test
def pub_retain_leaves_its_last_messages(rig):
    rig.run("pub", "left/one", "--retain", 1, "--slots", 2, stdin=numbered(0, 10))
    topic = rig.topic("left/one")
    assert topic["publisher_count"] == 0 and topic["retained_count"] == 1, topic
    assert topic["memory_bytes"] == topic["retained_bytes"] > 0, topic
    status = rig.json("status")
    assert status["retained_bytes"] >= topic["retained_bytes"] and status["retained_count"] >= 1
    left, = rig.json("topic", "info", "left/one")["publishers"]
    assert left["retained"] == 1 and left["dead"] and left["name"] == "lshm", left
    assert left["pid"] and left["ended_ns"] > status["start_ns"], left
    text = rig.run("topic", "info", "left/one").stdout.decode()
    assert re.search(r"lshm \(pid \d+\) +1 .* ago", text), text
    assert "1 publishers left" in rig.run("status").stdout.decode()
    for options in ((), ("--latest",)):
        sub = rig.start("sub", "left/one", "--history", 5, "--count", 1, *options)
        assert finish(sub)[0] == b"9\n", options
    rig.run("pub", "left/one", "--retain", 1, "--slots", 2, stdin=b"new\n")
    sub = rig.start("sub", "left/one", "--history", 5, "--count", 1)
    assert finish(sub)[0] == b"new\n"
    assert "retain is 1024" in rig.error("pub", "left/one", "--retain", 1024, code=64)


@test
def topic_rm_drops_what_was_left(rig):
    rig.run("pub", "left/two", "--retain", 3, stdin=numbered(0, 10))
    assert rig.json("topic", "rm", "left/two") == {"topic": "left/two", "removed_count": 1}
    assert "left/two" not in rig.run("topic", "ls").stdout.decode()
    assert "nothing is retained" in rig.error("topic", "rm", "left/two", code=65)
    rig.run("pub", "left/two", "--retain", 3, stdin=numbered(0, 10))
    assert rig.run("topic", "rm", "left/two").stdout == b""
    rig.error("sub", "left/two", "--history", 5, "--timeout", "200", code=75)
    assert "topic rm NAME" in rig.error("topic", "rm", code=64)
    rig.error("topic", "rm", "no//name", code=64)


@test
def pub_stall_goes_on_without_one_that_stands_still(rig):
    sub = rig.subscribe("stalled")
    sub.send_signal(signal.SIGSTOP)
    result = rig.json("pub", "stalled", "--ring", 64, "--stall", "50", stdin=numbered(0, 1000))
    assert result["messages"] == 1000, result
    sub.send_signal(signal.SIGCONT)
    sub.kill()
    assert "--stall 0" in rig.error("pub", "stalled", "--stall", "0", code=64)


def locked_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"^VmLck:\s*(\d+) kB", status.read(), re.M)[1])


@test
def pub_has_its_memory_as_it_is_asked_for(rig):
    pub = rig.start("pub", "grows", "--memory-max", "8M", "--chunk", "1M", "--huge", "--prefault",
                    stdin=subprocess.PIPE)
    pub.stdin.write(b"x" * (1 << 20))
    pub.stdin.flush()
    until(lambda: rig.topic("grows")["published"] == 1, "one message is published")
    info = rig.json("topic", "info", "grows")["publishers"][0]
    assert info["memory_max"] == 8 << 20 and info["segments"], info
    finish(pub, stdin=b"")
    most = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))
    pub = rig.start("pub", "locked", "--lock", "--slots", 4, stdin=subprocess.PIPE)
    until(lambda: pub.poll() is not None or rig.topic("locked")["publisher_count"], "it is open")
    if pub.poll() is None:
        assert locked_kib(pub.pid) > 0
        finish(pub, stdin=b"")
    else:
        assert "ulimit -l" in finish(pub, code=pub.poll())[1]
    err = rig.error("pub", "far", "--numa-node", 999, code=64)
    assert "numa_node" in err, err
    assert "out of range" in rig.error("pub", "far", "--numa-node", 1024, code=64)


@test
def pub_drop_newest_waits_for_nobody(rig):
    sub = rig.subscribe("full")
    sub.send_signal(signal.SIGSTOP)
    result = rig.json("pub", "full", "--ring", 64, "--drop-newest", stdin=numbered(0, 1000))
    assert result["messages"] + result["dropped"] == 1000 and 0 < result["messages"] <= 64, result
    sub.send_signal(signal.SIGCONT)
    until(lambda: rig.json("topic", "info", "full")["subscribers"][0]["publisher"] is None,
          "what was published is read")
    sub.send_signal(signal.SIGINT)
    assert finish(sub)[0] == numbered(0, result["messages"])
    sub = rig.subscribe("full")
    sub.send_signal(signal.SIGSTOP)
    text = rig.run("pub", "full", "--ring", 64, "--drop-newest", stdin=numbered(0, 100)).stderr
    assert b"messages were dropped" in text, text
    sub.kill()
