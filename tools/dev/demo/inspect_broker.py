# SPDX-License-Identifier: Apache-2.0
"""The broker as the lshm tool shows it. When its worker was killed, an answer may be missing."""
import json
import subprocess

TIMEOUT_S = 5


class Inspector:
    def __init__(self, tool, socket):
        self.tool, self.socket = tool, socket

    def ask(self, *command):
        """What `lshm COMMAND --json` prints, or None when it fails."""
        try:
            result = subprocess.run([self.tool, *command, "--socket", self.socket, "--json"],
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                    timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return None
        return json.loads(result.stdout) if result.returncode == 0 else None

    def worker(self):
        """Its process id, or None when nobody answers yet."""
        status = self.ask("status")
        return status and status["worker_pid"]

    def slots(self, *topics):
        """{topic: {state: slots}} of the topics' publishers; those that answered."""
        states = {}
        for topic in topics:
            info = self.ask("topic", "info", topic)
            for publisher in info["publishers"] if info else ():
                if publisher["slot_states"]["free"] is not None:
                    states[topic] = publisher["slot_states"]
        return states

    def readers(self, topic):
        info = self.ask("topic", "info", topic)
        return info["subscriber_count"] if info else 0

    def _holders(self):
        answer = self.ask("holders")
        return None if answer is None else answer["holders"]

    def holds(self, pid):
        """The numbers of the messages that a process holds beyond its window."""
        return [row["seq"] for row in self._holders() or ()
                if row["pid"] == pid and row["kind"] == "hold"]

    def is_holder(self, pid):
        """Whether it is named as one that keeps slots in use; None when nobody says."""
        rows = self._holders()
        return None if rows is None else any(row["pid"] == pid for row in rows)
