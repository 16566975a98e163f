# SPDX-License-Identifier: Apache-2.0
"""The commands of `lshm` that look, publish and subscribe."""
import hashlib
import json
import os
import resource
import signal
import subprocess
import time

from rig import COMMANDS, DEADLINE_S, TOOL, finish, test, until


@test
def help_of_each_command_exits_0_and_has_examples(rig):
    assert b"usage: lshm" in rig.run("--help").stdout
    for command in COMMANDS:
        text = rig.run(command, "--help").stdout.decode()
        assert text.startswith(f"usage: lshm {command}"), text
        assert f"\n  lshm {command}" in text or f"| lshm {command}" in text, "no example"
        assert rig.run("help", command).stdout.decode() == text
    for words in (("help",), ("help", "help"), ("help", "--help"), ("-h",)):
        assert rig.run(*words).stdout == rig.run("--help").stdout, words


@test
def usage_errors_exit_64_in_one_line(rig):
    assert "no command 'nonsense'" in rig.error("nonsense", code=64)
    assert "--nonsense" in rig.error("status", "--nonsense", code=64)
    assert "--count" in rig.error("pub", "x", "--count", code=64)
    assert "--loop=1 is not an option, or takes no value" in rig.error("pub", "x", "--loop=1",
                                                                       code=64)
    assert "there is no option -x" in rig.error("sub", "x", "-x", code=64)
    for formats in (("--raw", "--hex"), ("--raw", "--json"), ("--json", "--hex")):
        assert "choose one of" in rig.error("sub", "x", *formats, code=64)
    assert "--count 'many'" in rig.error("sub", "x", "--count", "many", code=64)
    assert "--chunk" in rig.error("pub", "x", "--chunk", "12Q", code=64)
    assert "out of range: 4 to 65536" in rig.error("pub", "x", "--ring", "1000000", code=64)
    assert "--ring 1000 is not a power of two: 4 to 65536" in rig.error("pub", "x", "--ring",
                                                                        "1000", code=64)
    assert "--loop needs --file" in rig.error("pub", "x", "--loop", code=64)
    assert "one topic" in rig.error("sub", code=64)
    assert "topic ls" in rig.error("topic", "frobnicate", code=64)
    assert rig.run(code=64).stderr.startswith(b"usage:")


@test
def without_a_broker_each_command_exits_69_and_says_how_to_fix_it(rig):
    for command in (("status",), ("topic", "ls"), ("topic", "info", "x"), ("client", "ls"),
                    ("holders",), ("pub", "x"), ("sub", "x"), ("hz", "x"), ("bw", "x"),
                    ("delay", "x"), ("latency", "x")):
        text = rig.error(*command, code=69)
        assert "start brokerd" in text and str(rig.socket) in text, text
    doctor = rig.json("doctor", code=69)
    assert [f for f in doctor["findings"] if f["name"] == "broker"][0]["level"] == "fail"


@test
def version_names_library_and_abi(rig):
    version = rig.json("version")
    assert version["tool"] == version["library"] and "abi_major" in version
    assert version["library"].encode() in rig.run("version").stdout
    assert rig.run("--version").stdout == rig.run("version").stdout


@test
def json_of_each_command_is_one_document(rig):
    rig.start_broker()
    sub = rig.subscribe("json/topic")
    for command in (("status",), ("topic", "ls"), ("topic", "info", "json/topic"),
                    ("client", "ls"), ("holders",), ("doctor",), ("version",)):
        assert isinstance(rig.json(*command), dict)
        assert isinstance(json.loads(rig.run("--json", *command).stdout), dict)
    sub.terminate()
    finish(sub)


@test
def status_counts_what_is_there(rig):
    before = rig.json("status")
    sub = rig.subscribe("count/me")
    after = rig.json("status")
    assert after["subscribers"] == before["subscribers"] + 1
    assert after["topics"] == before["topics"] + 1
    assert after["limits"]["clients_max"] > 0
    assert str(rig.socket).encode() in rig.run("status").stdout
    clients = rig.json("client", "ls")["clients"]
    assert [c for c in clients if c["pid"] == sub.pid][0]["subscribers"] == 1
    sub.terminate()
    finish(sub)


@test
def status_names_the_limits_of_options(rig):
    limits = rig.json("status")["limits"]
    assert limits["publishers_max"] == limits["subscribers_max"] == 16384, limits
    wanted = {"payload_bytes": (1, 4096, 4294963200), "slot_count": (1, None, 16777216),
              "ring_entries": (4, 1024, 65536), "entry_bytes": (64, 128, 1024),
              "loans_max": (1, 64, 65536), "history": (0, None, 49152), "retain": (0, None, 49152),
              "window": (1, 64, 4096), "holds": (1, 8, 1024)}
    lines = [line.split() for line in rig.run("status").stdout.decode().splitlines()]
    for name, (least, usual, most) in wanted.items():
        assert limits[name] == {"min": least, "default": usual, "max": most}, (name, limits)
        shown = [name, str(least), str(most), "-" if usual is None else str(usual)]
        assert shown in lines, (shown, lines)


@test
def the_socket_option_wins_over_the_environment(rig):
    env = {"LSHM_SOCKET": str(rig.directory / "nothing")}
    rig.error("status", code=69, env=env)
    rig.run("status", "--socket", rig.socket, env=env)
    rig.run("--socket", rig.socket, "status", env=env)


@test
def topic_names_are_checked(rig):
    for name in ("", "/x", "x/", "a//b", "a b", "x" * 128):
        assert "not a topic name" in rig.error("pub", name, code=64)
        assert "not a topic name" in rig.error("sub", name, code=64)
        assert "not a topic name" in rig.error("topic", "info", name, code=64)
        assert "not a topic name" in rig.error("holders", name, code=64)
    assert 'no topic "absent" now' in rig.error("topic", "info", "absent", code=65)
    assert 'no topic "absent" now' in rig.error("holders", "absent", code=65)


@test
def without_descriptors_each_command_says_how_to_get_some(rig):
    sub = rig.subscribe("few/descriptors")
    pub = rig.start("pub", "few/descriptors", stdin=subprocess.PIPE)
    until(lambda: rig.topic("few/descriptors")["publisher_count"] == 1, "it publishes")
    for command in (("status",), ("topic", "info", "few/descriptors"), ("holders",)):
        refused = 0
        for limit in range(4, 9):
            def lower():
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            result = subprocess.run([str(TOOL), *command], env=rig.env, capture_output=True,
                                    timeout=DEADLINE_S, preexec_fn=lower, text=True)
            if result.returncode == 0:
                break
            assert result.returncode == 71 and result.stderr.count("\n") == 1, result
            assert "ulimit -n" in result.stderr and "brokerd" not in result.stderr, result
            refused += 1
        assert result.returncode == 0 and refused > 0, (command, result)
    finish(pub)
    sub.terminate()
    finish(sub)


@test
def numbers_of_ports_are_printed_in_full(rig):
    sub = rig.subscribe("numbers")
    for _ in range(40):  # a record used again gets a much larger number
        pub = rig.start("pub", "numbers", stdin=subprocess.PIPE)
        until(lambda: rig.topic("numbers")["publisher_count"] == 1, "it publishes")
        number = rig.json("topic", "info", "numbers")["publishers"][0]["publisher"]
        if number >= 100000:
            break
        finish(pub)
    text = rig.run("topic", "info", "numbers").stdout.decode()
    publishers, subscribers = text.split("SUBSCRIBER", 1)
    assert str(number) in publishers.split() and str(number) in subscribers.split(), text
    assert number >= 100000, number
    finish(pub)
    sub.terminate()
    finish(sub)


@test
def a_binary_file_survives_pub_and_sub(rig):
    data = b"".join(hashlib.sha256(bytes([i & 255, i >> 8])).digest() for i in range(60000))
    source = rig.directory / "source"
    source.write_bytes(data)
    copy = rig.directory / "copy"
    for chunk, slots in (("64K", 4), ("60", 4), ("1000", 16)):
        with copy.open("wb") as file:
            sub = rig.subscribe("file", "--raw", "--timeout", "2s", stdout=file)
        result = rig.json("pub", "file", "--file", source, "--chunk", chunk, "--slots", slots,
                          "--wait-subscribers", 1)
        assert result["bytes"] == len(data)
        finish(sub, code=75)
        got = hashlib.sha256(copy.read_bytes()).digest()
        assert got == hashlib.sha256(data).digest(), f"--chunk {chunk}"


@test
def lines_arrive_as_messages(rig):
    sub = rig.subscribe("lines", "--json", "--count", 5)
    rig.run("pub", "lines", stdin=b"one\n\n\xff\xfe\ntab\there\nlast", code=0)
    messages = [json.loads(line) for line in finish(sub)[0].splitlines()]
    assert [m["seq"] for m in messages] == [0, 1, 2, 3, 4]
    assert [m.get("text") for m in messages] == ["one", "", None, "tab\there", "last"]
    assert messages[2]["base64"] == "//4=" and messages[2]["length"] == 2


@test
def text_and_hex_output_is_safe_for_a_terminal(rig):
    text, dump = rig.subscribe("safe", "--count", 1), rig.subscribe("safe", "--count", 1, "--hex")
    rig.run("pub", "safe", stdin=b"a\x1b[31mb\x07\xff\n")
    assert finish(text)[0] == b"a\\^[[31mb\\a\\M^?\n"
    out = finish(dump)[0].decode()
    assert "61 1b 5b 33 31 6d 62 07 ff" in out and "|a.[31mb..|" in out, out
    rig.env["LC_ALL"] = "C.UTF-8"
    text = rig.subscribe("safe", "--count", 3)
    rig.env["LC_ALL"] = "C"
    rig.run("pub", "safe", stdin="gr\u00fc\u00dfe\n\u009b31m\n".encode() + b"\xc3\xbc\xff\n")
    assert finish(text)[0].decode() == "gr\u00fc\u00dfe\n\\M^[31m\n\\M-C\\M-<\\M^?\n"


@test
def rate_count_and_loop_are_kept(rig):
    source = rig.directory / "three"
    source.write_bytes(b"1\n2\n3\n")
    sub = rig.subscribe("loop", "--count", 8)
    begin = time.monotonic()
    result = rig.json("pub", "loop", "--file", source, "--loop", "--count", 8, "--rate", 40)
    assert result["messages"] == 8 and time.monotonic() - begin > 7 / 40
    assert finish(sub)[0] == b"1\n2\n3\n1\n2\n3\n1\n2\n"
    empty = rig.directory / "empty"
    empty.touch()
    assert "is empty" in rig.error("pub", "loop", "--file", empty, "--loop", code=65)


@test
def pub_waits_for_its_subscribers(rig):
    pub = rig.start("pub", "late", "--wait-subscribers", 2, stdin=subprocess.PIPE)
    until(lambda: rig.topic("late")["publisher_count"] == 1, "the publisher is there")
    first = rig.subscribe("late", "--count", 1)
    assert pub.poll() is None
    second = rig.subscribe("late", "--count", 1)
    finish(pub, stdin=b"hello\n")
    assert finish(first)[0] == finish(second)[0] == b"hello\n"


@test
def a_full_pool_ends_pub_after_its_wait(rig):
    sub = rig.subscribe("full")
    sub.send_signal(signal.SIGSTOP)
    pub = rig.start("pub", "full", "--chunk", "64K", "--slots", 4, "--file", "/dev/zero",
                    "--wait", "300ms")
    _, err = finish(pub, code=75)
    assert "does not keep up" in err and "lshm holders" in err
    sub.kill()


@test
def a_line_that_is_too_long_is_refused(rig):
    text = rig.error("pub", "long", "--line-max", "100", stdin=b"x" * 101 + b"\n", code=65)
    assert "--line-max" in text
    rig.run("pub", "long", "--line-max", "100", stdin=b"x" * 100 + b"\n")


@test
def files_that_cannot_be_read_exit_74(rig):
    assert "cannot open" in rig.error("pub", "x", "--file", "/nonexistent", code=74)
    assert "cannot read" in rig.error("pub", "x", "--file", rig.directory, code=74)


@test
def output_that_cannot_be_written_exits_74(rig):
    with open("/dev/full", "wb") as full:
        for arguments in (("version",), ("status",), ("help",), ("topic", "ls", "--json")):
            done = subprocess.run([str(TOOL), *arguments], env=rig.env, stdout=full,
                                  stderr=subprocess.PIPE, timeout=DEADLINE_S)
            assert done.returncode == 74 and b"standard output" in done.stderr, arguments


@test
def a_timeout_exits_75(rig):
    text = rig.error("sub", "silent", "--timeout", "100ms", code=75)
    assert "nothing was published" in text


@test
def stats_show_rate_and_latency(rig):
    sub = rig.subscribe("stats", "--stats", "--count", 10)
    rig.run("pub", "stats", "--timestamps", stdin=b"x\n" * 10)
    _, err = finish(sub)
    assert "msg/s" in err and "latency p50" in err and "lost 0" in err, err


@test
def signals_end_pub_and_sub_cleanly(rig):
    for number in (signal.SIGINT, signal.SIGTERM):
        sub = rig.subscribe("signals")
        pub = rig.start("pub", "signals", stdin=subprocess.PIPE)
        until(lambda: rig.topic("signals")["publisher_count"] == 1, "the publisher is there")
        for child in (pub, sub):
            child.send_signal(number)
        finish(pub)
        finish(sub)
    until(lambda: len(rig.json("client", "ls")["clients"]) == 1, "both have left")


@test
def a_closed_pipe_ends_sub(rig):
    sub = rig.subscribe("pipe")
    sub.stdout.close()
    rig.run("pub", "pipe", "--wait-subscribers", 1, stdin=b"x\n" * 10)
    sub.wait(DEADLINE_S)
    assert sub.returncode == 0, sub.returncode
    sub.stdout = None


@test
def holders_show_what_a_stopped_subscriber_keeps(rig):
    sub = rig.subscribe("kept")
    pid = sub.pid
    sub.send_signal(signal.SIGSTOP)
    pub = rig.start("pub", "kept", stdin=subprocess.PIPE)
    pub.stdin.write(b"a\nb\nc\n")
    pub.stdin.flush()
    until(lambda: rig.topic("kept")["published"] == 3, "three messages are published")
    holders = [h for h in rig.json("holders", "kept")["holders"] if h["pid"] == pid]
    assert sum(h["count"] for h in holders) == 3 and all(h["at_most"] for h in holders), holders
    assert b"at most 3" in rig.run("holders").stdout
    sub.kill()
    sub.wait()
    until(lambda: not [h for h in rig.json("holders")["holders"] if h["pid"] == pid],
          "a dead process holds nothing")
    finish(pub, stdin=b"")


@test
def topic_info_shows_slots_and_positions(rig):
    sub = rig.subscribe("info")
    pub = rig.start("pub", "info", "--chunk", "64K", "--slots", 8, stdin=subprocess.PIPE)
    pub.stdin.write(b"x" * 65536)
    pub.stdin.flush()
    until(lambda: rig.topic("info")["published"] == 1, "one message is published")
    until(lambda: rig.json("topic", "info", "info")["subscribers"][0]["taken"] == 1, "it is taken")
    info = rig.json("topic", "info", "info")
    states = info["publishers"][0]["slot_states"]
    assert sum(states.values()) == info["publishers"][0]["slots"] == 8
    assert states["loaned"] == 1, states
    assert info["subscribers"][0]["lost"] == 0 and info["subscribers"][0]["ahead"] == 0
    text = rig.run("topic", "info", "info").stdout.decode()
    assert f"pid {sub.pid}" in text and f"pid {pub.pid}" in text
    finish(pub, stdin=b"")
    sub.terminate()
    finish(sub)


@test
def colour_only_on_a_terminal_without_NO_COLOR(rig):
    assert b"\033" not in rig.run("topic", "ls").stdout
    for env, wanted in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        leader, follower = os.openpty()
        subprocess.run([str(TOOL), "topic", "ls"], env={**rig.env, **env}, stdout=follower,
                       timeout=DEADLINE_S, check=True)
        os.close(follower)
        assert (b"\033" in os.read(leader, 65536)) == wanted, env
        os.close(leader)


@test
def status_works_on_after_the_worker_is_killed(rig):
    before = rig.json("status")
    os.kill(before["worker_pid"], signal.SIGKILL)
    after = rig.json("status")
    assert after["worker_generation"] == before["worker_generation"] + 1
    assert after["worker_pid"] != before["worker_pid"]
    doctor = rig.json("doctor")
    assert doctor["fail"] == 0 and "broker's worker" in [f["name"] for f in doctor["findings"]]


@test
def sub_ends_when_broker_and_publisher_are_gone(rig):
    lost = rig.another("lost")
    try:
        lost.start_broker()
        sub = lost.subscribe("q")
        pub = lost.start("pub", "q", stdin=subprocess.PIPE)
        pub.stdin.write(b"first\n")
        pub.stdin.flush()
        until(lambda: lost.topic("q")["published"] == 1, "somebody publishes")
        lost.kill_broker()
        finish(pub, stdin=b"last\n")
        out, err = finish(sub, code=69)
        assert out == b"first\nlast\n" and "the broker is gone" in err, (out, err)
    finally:
        lost.clean()
