"""The remedies of a status, carried out as an administrator would who can only copy them."""

import os
import re
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from tests.harness.hypervisors import Hypervisors
from tests.harness.kubernetes import Drain, Json

ID = r"([0-9a-f]{8}-[0-9a-f-]{27})"


class Administrator:
    """Knows the commands of openstack, kubectl, SQL and the shell that remedies have."""

    def __init__(self, hypervisors: Hypervisors, drain: Drain, host: str) -> None:
        self.hypervisors, self.lab = hypervisors, hypervisors.lab
        self.drain, self.host = drain, host
        server = "openstack server"
        self.commands: Mapping[str, Callable[..., Any]] = {
            rf"{server} set --state active {ID}": self._reset,
            rf"{server} reboot --hard {ID}": self._reboot,
            rf"{server} start {ID}": lambda id_: self.lab.admin.action(id_, "os-start"),
            rf"{server} migration abort {ID} (\d+)": self._abort,
            rf"{server} migration force complete {ID} (\d+)": self._force_complete,
            r"(kubectl annotate .*)": self._shell,
            r"(UPDATE (?:migrations|instances) SET .*?;)": self.lab.in_cell,
            r"Add to confirmation\.decisions: (\{.*\})": self._decide,
            r"(remove its entry from confirmation\.decisions)": self._take_back,
            rf"pgrep -af '(scp.*{ID})', then kill it": self._kill_copy,
            r"(systemctl start nova-compute)": self._start_compute,
        }

    def follow(self, problem: Json, *wanted: str) -> None:
        """Each of these remedies, named by some words of it, with every command that it has.

        Raises AssertionError where the problem has no such remedy, or it has no command.
        """
        for words in wanted:
            found = [text for text in problem["remedies"] if words in text]
            assert len(found) == 1, (words, problem)
            self._do(found[0])

    def _do(self, remedy: str) -> None:
        hits = [
            (hit.start(), act, hit.groups())
            for pattern, act in self.commands.items()
            for hit in re.finditer(pattern, remedy)
        ]
        assert hits, f"no command in: {remedy}"
        for _, act, arguments in sorted(hits, key=lambda hit: hit[0]):
            act(*arguments)

    def release_allocations(self, message: str) -> None:
        """What placement counts for consumers that a message names, on the drained host alone."""
        assert "openstack resource provider allocation unset --provider" in message
        for consumer in self.lab.holders(self.host):
            assert consumer in message
            self._unset(consumer)

    def _unset(self, consumer: str) -> None:
        """osc_placement/resources/allocation.py UnsetAllocation."""
        path, placement = f"/allocations/{consumer}", "placement"
        provider = (self.lab.provider(self.host) or {})["uuid"]
        body = self.lab.admin.get(path, service=placement)
        body["allocations"].pop(provider)
        answer, text = self.lab.admin.ask("PUT", path, body, service=placement)
        assert answer == 204, text

    def _reset(self, server_id: str) -> None:
        self.lab.admin.action(server_id, "os-resetState", {"state": "active"})

    def _reboot(self, server_id: str) -> None:
        self.lab.admin.action(server_id, "reboot", {"type": "HARD"})

    def _abort(self, server_id: str, migration: str) -> None:
        answer, text = self.lab.admin.ask("DELETE", f"/servers/{server_id}/migrations/{migration}")
        assert answer == 202, text

    def _force_complete(self, server_id: str, migration: str) -> None:
        path = f"/servers/{server_id}/migrations/{migration}/action"
        answer, text = self.lab.admin.ask("POST", path, {"force_complete": None})
        assert answer == 202, text

    def _shell(self, command: str) -> None:
        environment = os.environ | self.drain.kube.environment
        subprocess.run(["/bin/sh", "-c", command], check=True, env=environment, capture_output=True)

    def _decide(self, entry: str) -> None:
        self.drain.patch({"confirmation": {"decisions": [yaml.safe_load(entry)]}})

    def _take_back(self, _: str) -> None:
        self.drain.patch({"confirmation": {"decisions": []}})

    def _kill_copy(self, pattern: str, _: str) -> None:
        # The brackets keep the shell that runs this from finding itself.
        self.hypervisors[self.host].run(f"kill $(pgrep -f '[s]{pattern[1:]}')")

    def _start_compute(self, _: str) -> None:
        self.hypervisors[self.host].start_compute()
