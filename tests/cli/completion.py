# SPDX-License-Identifier: Apache-2.0
"""The completion of lshm in bash."""
import os
import re
import signal
import subprocess
import time

from rig import COMMANDS, COMPLETION, DEADLINE_S, TOOL, finish, test


def complete(rig, *words):
    """What bash offers for the last of these words."""
    script = """
        source "$1" || exit
        shift
        COMP_WORDS=(lshm "$@") COMP_CWORD=$#
        completer=$(complete -p lshm | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        "$completer" lshm "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\\n' "${COMPREPLY[@]}" """
    env = {**rig.env, "PATH": f"{TOOL.parent}:{rig.env['PATH']}"}
    result = subprocess.run(["bash", "--norc", "-c", script, "bash", str(COMPLETION), *words],
                            env=env, capture_output=True, timeout=DEADLINE_S, text=True)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return set(result.stdout.split())


@test
def bash_completes_commands_options_and_topics(rig):
    assert complete(rig, "") == {*COMMANDS, "help"}
    assert complete(rig, "to") == complete(rig, "help", "to") == {"topic"}
    assert complete(rig, "--") == {"--json", "--socket", "--help"}
    for command in COMMANDS:
        usage = rig.run(command, "--help").stdout.decode()
        listed = set(re.findall(r"(?:^  |\[)(--[a-z-]+)", usage, re.M))
        assert complete(rig, command, "--") == listed | {"--help"}, command
    assert complete(rig, "topic", "") == {"ls", "info", "rm"}
    assert complete(rig, "sub", "x", "--timeout", "f") == {"forever"}
    assert complete(rig, "pub", "x", "--file", f"{rig.directory}/thr") == {
        str(rig.directory / "three")}
    sub, other = rig.subscribe("camera/front"), rig.subscribe("camera/rear")
    for words in (("sub",), ("topic", "info"), ("topic", "rm"), ("--json", "hz"), ("holders",),
                  ("--socket", str(rig.socket), "bw")):
        assert complete(rig, *words, "camera/") == {"camera/front", "camera/rear"}, words
    assert complete(rig, "--socket", "/nonexistent", "sub", "") == set()
    for child in (sub, other):
        child.terminate()
        finish(child)


@test
def completion_knows_which_options_have_a_value(rig):
    """The word behind is a value, not a topic; behind that comes the topic."""
    sub = rig.subscribe("here")
    for command in COMMANDS:
        usage = rig.run(command, "--help").stdout.decode()
        for option in re.findall(r"^  (--[a-z-]+) [A-Z]+", usage, re.M):
            assert "here" not in complete(rig, command, option, ""), (command, option)
            if option != "--socket": # it would ask the broker there
                assert complete(rig, command, option, "5", "he") == {"here"}, (command, option)
        for option in re.findall(r"^  (--[a-z-]+)(?:  |$)", usage, re.M):
            assert complete(rig, command, option, "he") == {"here"}, (command, option)
    sub.terminate()
    finish(sub)


@test
def completion_does_not_wait_for_a_broker_that_is_stopped(rig):
    status = rig.json("status")
    stopped = (status["keeper_pid"], status["worker_pid"])
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    begin = time.monotonic()
    offered = complete(rig, "sub", "")
    seconds = time.monotonic() - begin
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert offered == set() and seconds < 3, (offered, seconds)
