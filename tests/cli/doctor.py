# SPDX-License-Identifier: Apache-2.0
"""lshm doctor."""
import json
import subprocess

from rig import DEADLINE_S, TOOL, test


@test
def doctor_finds_a_small_address_space(rig):
    result = subprocess.run(["bash", "-c", f"ulimit -v 8000000; exec '{TOOL}' doctor --json"],
                            env=rig.env, capture_output=True, timeout=DEADLINE_S)
    finding = [f for f in json.loads(result.stdout)["findings"] if f["name"] == "address space"][0]
    assert finding["level"] == "warn" and "ulimit -v" in finding["fix"]
