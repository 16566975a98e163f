# SPDX-License-Identifier: Apache-2.0
"""lshm doctor: what it finds on machines and under limits that this one has not."""
import json
import signal
import subprocess

from rig import BROKER, DEADLINE_S, TOOL, Skip, test, until


def finding(rig, name, script="true", mounts=False, socket=None):
    """What the doctor finds after a shell script; `mounts`: which may mount what only it sees."""
    where = ["unshare", "--mount", "--propagation", "private"] if mounts else []
    if mounts and subprocess.run([*where, "true"], capture_output=True).returncode != 0:
        raise Skip("only root can mount what shows another machine")
    options = ["--socket", str(socket)] if socket else []
    script = f'cd "$1" && {{ {script}; }} && shift && exec "$@"'
    result = subprocess.run([*where, "bash", "-ec", script, "bash", str(rig.directory), str(TOOL),
                             "doctor", "--json", *options], env=rig.env, capture_output=True,
                            timeout=DEADLINE_S, text=True)
    findings = [f for f in json.loads(result.stdout)["findings"] if f["name"] == name]
    assert len(findings) == 1, (name, result.stdout)
    return findings[0]


def is_warned(found, *words):
    return (found["level"] == "warn" and found["fix"] and
            all(word in found["text"] + found["fix"] for word in words))


@test
def doctor_finds_a_small_address_space(rig):
    assert is_warned(finding(rig, "address space", "ulimit -v 8000000"), "ulimit -v")


@test
def doctor_finds_few_descriptors(rig):
    assert is_warned(finding(rig, "open files", "ulimit -n 100"), "100 allowed", "LimitNOFILE=")


@test
def doctor_finds_a_broker_with_few_descriptors(rig):
    directory = rig.directory / "few"
    directory.mkdir(mode=0o700)
    for limit, words in ((400, ("only 100 of 1024", "ulimit -n")), (5000, ("452 publishers",))):
        broker = subprocess.Popen(["bash", "-c", f'ulimit -n {limit}; exec "$@"', "bash",
                                   str(BROKER), "--foreground", "--socket", directory / "s",
                                   "--drain", "0"], env=rig.env, stderr=subprocess.DEVNULL)
        until((directory / "s").exists, "the broker is there")
        found = finding(rig, "broker's files", socket=directory / "s")
        broker.send_signal(signal.SIGTERM)
        broker.wait(DEADLINE_S)
        assert is_warned(found, *words), found


@test
def doctor_finds_few_mappings(rig):
    fake = "echo 1000 >fake && mount --bind fake /proc/sys/vm/max_map_count"
    assert is_warned(finding(rig, "mappings", fake, mounts=True), "1000", "vm.max_map_count=")


@test
def doctor_finds_processors_that_stay_slow(rig):
    for driver, slow in (("acpi-cpufreq", True), ("intel_pstate", False)):
        fake = f"""mount -t tmpfs none /sys/devices/system/cpu
            for i in 0 1; do
                mkdir -p /sys/devices/system/cpu/cpufreq/policy$i
                echo powersave >/sys/devices/system/cpu/cpufreq/policy$i/scaling_governor
                echo {driver} >/sys/devices/system/cpu/cpufreq/policy$i/scaling_driver
            done"""
        found = finding(rig, "governor", fake, mounts=True)
        assert is_warned(found, "2 of 2", "cpupower") == slow, found
        assert slow or found["level"] == "ok", found


@test
def doctor_finds_a_slow_clock(rig):
    path = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    found = finding(rig, "clock", f"echo hpet >fake && mount --bind fake {path}", mounts=True)
    assert is_warned(found, "hpet", "TSC"), found


@test
def doctor_finds_forced_huge_pages(rig):
    path = "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
    fake = f"echo 'always advise never deny [force]' >fake && mount --bind fake {path}"
    assert is_warned(finding(rig, "shmem huge pages", fake, mounts=True), "force", "advise")


@test
def doctor_finds_the_limit_of_its_control_group(rig):
    for line, directory, name in (("0::/a/b", "a", "memory.max"),
                                  ("4:memory:/a", "memory/a", "memory.limit_in_bytes")):
        fake = f"""mount -t tmpfs none /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/{directory}
            echo 100000000 >/sys/fs/cgroup/{directory}/{name}
            echo {line} >fake && mount --bind fake /proc/$$/cgroup"""
        found = finding(rig, "control group", fake, mounts=True)
        assert is_warned(found, "95 MiB", "MemoryMax="), found
