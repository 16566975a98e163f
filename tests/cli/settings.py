# SPDX-License-Identifier: Apache-2.0
"""The file of brokerd's settings; its unit for systemd."""
import os
import shutil
import signal
import socket
import subprocess

from rig import BROKER, DEADLINE_S, Skip, test, until


class Config:
    """A file of settings, and what brokerd says to it."""

    def __init__(self, rig):
        self.rig, self.path = rig, rig.directory / "brokerd.conf"

    def check(self, text, *options, env=None):
        if isinstance(text, str):
            self.path.write_text(text)
        result = subprocess.run([str(BROKER), "--config", str(self.path), "--check-config",
                                 *options], env=env or {"PATH": self.rig.env["PATH"]},
                                capture_output=True, timeout=DEADLINE_S, text=True)
        return result.returncode, result.stdout, result.stderr

    def settings(self, text, *options, **others):
        code, out, err = self.check(text, *options, **others)
        assert code == 0 and err == "", err
        return dict(line.split(" = ") for line in out.splitlines())

    def error(self, text, code, *options):
        got, out, err = self.check(text, *options)
        assert got == code and out == "" and err.count("\n") == 1, (got, out, err)
        return err


@test
def brokerd_reads_its_settings(rig):
    config = Config(rig)
    assert config.settings("") == {"drain": "2", "clients-max": "1024"}
    text = ("# a comment\n\nsocket = /x/y ; here too\ndrain=5\nclient-bytes = 2G\n"
            "topic-bytes = 1G\nretain-bytes = 64M\nclients-max: 7\n")
    wanted = {"socket": "/x/y", "drain": "5", "client-bytes": str(2 << 30),
              "topic-bytes": str(1 << 30), "retain-bytes": str(64 << 20), "clients-max": "7"}
    assert config.settings(text) == wanted
    assert config.settings(text, "--drain", "0", "--clients-max", "8", "--socket", "/z") == {
        **wanted, "drain": "0", "clients-max": "8", "socket": "/z"}
    env = {"LSHM_SOCKET": "/w"}
    assert "socket" not in config.settings("socket = /x\n", env=env)
    assert config.settings("socket = /x\n", "--socket", "/z", env=env)["socket"] == "/z"
    assert config.settings("drain = 3") == {"drain": "3", "clients-max": "1024"}


@test
def what_brokerd_prints_of_its_settings_is_such_a_file(rig):
    config = Config(rig)
    text = ("socket = /x/y\ndrain = 5\nclient-bytes = 123456\ntopic-bytes = 654321\n"
            "retain-bytes = 77777\nclients-max = 7\n")
    assert config.check(text)[1] == text


@test
def errors_in_brokerds_settings_name_file_and_line(rig):
    config = Config(rig)
    for text, line, words in (
            ("# x\n\nclient-byte = 1\n", 3, "no setting 'client-byte'"),
            ("drain = 5\nclients-max = 2000\n", 2, "from 1 to 1024"),
            ("clients-max = 0\n", 1, "from 1 to 1024"),
            ("client-bytes = much\n", 1, "512M"),
            ("drain = -1", 1, "from 0 to 86400"),
            ("drain =\n", 1, "drain"),
            ("socket =\n", 1, "socket is empty"),
            ("drain = 1\ndrain = 1\n", 2, "given twice"),
            ("drain = 1\n continued\n", 2, "given twice"),
            ("[broker]\ndrain = 1\n", 2, "no sections"),
            ("drain = 1\nnonsense\n", 2, "name = value"),
            ("\n[broker\n", 2, "name = value"),
            ("drain = 1\n\nsocket = /" + "x" * 300, 3, "longer than"),
            ("# " + "x" * 300 + "\n", 1, "longer than")):
        err = config.error(text, 78)
        assert f"{config.path}:{line}: " in err and words in err, (text, err)
    assert "can't read" in config.error("drain = 1\n", 66, "--config", "/nonexistent")
    assert "can't read" in config.error("drain = 1\n", 66, "--config", str(rig.directory))
    assert "--drain" in config.error("drain = 1\n", 64, "--drain", "soon")


@test
def a_broker_obeys_its_settings(rig):
    directory = rig.directory / "other"
    directory.mkdir(mode=0o700)
    path, config = directory / "s", Config(rig)
    config.path.write_text(f"socket = {path}\nclients-max = 3\nclient-bytes = 1M\n"
                           "topic-bytes = 2M\nretain-bytes = 3M\n")
    env = {name: value for name, value in rig.env.items() if name != "LSHM_SOCKET"}
    done = subprocess.run([str(BROKER), "--config", str(config.path)], env=env, timeout=DEADLINE_S)
    assert done.returncode == 0
    status = rig.json("status", "--socket", path)
    assert status["limits"]["clients_max"] == 3, status
    assert status["limits"]["client_bytes_max"] == 1 << 20, status
    assert status["limits"]["topic_bytes_max"] == 2 << 20, status
    assert status["limits"]["retain_bytes_max"] == 3 << 20, status
    os.kill(status["keeper_pid"], signal.SIGTERM)
    until(lambda: not path.exists(), "it has ended")


@test
def a_broker_tells_its_supervisor_that_it_is_ready(rig):
    directory = rig.directory / "supervised"
    directory.mkdir(mode=0o700)
    for address in (str(rig.directory / "notify"), f"\0lshm-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(address)
            supervisor.settimeout(DEADLINE_S)
            broker = subprocess.Popen([str(BROKER), "--foreground", "--socket", directory / "s"],
                                      env={**rig.env, "NOTIFY_SOCKET": address.replace("\0", "@")},
                                      stderr=subprocess.DEVNULL)
            assert supervisor.recv(100) == b"READY=1"
            rig.run("status", "--socket", directory / "s")
            broker.terminate()
            assert broker.wait(DEADLINE_S) == 0


@test
def the_unit_of_systemd_is_valid(rig):
    if not shutil.which("systemd-analyze"):
        raise Skip("there is no systemd-analyze")
    unit = (BROKER.parent / "brokerd.service").read_text()
    installed = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    copy = rig.directory / "brokerd.service"
    copy.write_text(unit.replace(installed.split("=", 1)[1].split()[0], str(BROKER)))
    result = subprocess.run(["systemd-analyze", "verify", "--man=no", copy], capture_output=True,
                            text=True, timeout=DEADLINE_S)
    assert result.returncode == 0 and "brokerd.service" not in result.stderr, result.stderr
    command = installed.split("=", 1)[1].split()[1:]
    assert subprocess.run([str(BROKER), *command, "--check-config"], capture_output=True,
                          timeout=DEADLINE_S).returncode == 0
