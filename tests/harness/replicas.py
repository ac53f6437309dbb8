"""Two operators with one Lease, as processes, and who of them wrote what, by the records of others:
the API server's audit log, and the requests that the stand-in for OpenStack has answered.
"""

import json
import os
import re
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.beds.sim.web import Log
from tests.harness.kubernetes import ACCOUNT, Json, Kube, Operator
from tests.harness.openstack import until

AGENT = re.compile(r"^quiesce/\S+ \(([^)]+)\)")
AS = re.compile(r"quiesce \S+ \((\S+)\) watches")


class Write(NamedTuple):
    """`at`: seconds since the epoch. `by`: the identity of the process."""

    at: float
    by: str
    what: str
    accepted: bool


@dataclass
class Replica:
    """Each start is another process with another identity."""

    operator: Operator
    begins: int = 0
    """Where the log of this start begins."""

    def start_again(self) -> None:
        self.begins = len(self.operator.text())
        self.operator.start()

    @property
    def log(self) -> str:
        return self.operator.text()[self.begins :]

    @property
    def identity(self) -> str:
        """Empty until it is known."""
        found = AS.search(self.log)
        return found[1] if found else ""

    @property
    def stands_by(self) -> bool:
        """It has seen that another one holds the Lease."""
        return "standing by" in self.log

    def send(self, number: signal.Signals) -> None:
        assert self.operator.process
        os.kill(self.operator.process.pid, number)

    def ended(self, timeout: float = 90.0) -> int:
        """Its exit code."""
        assert self.operator.process
        return self.operator.process.wait(timeout)


@dataclass
class Pair:
    kube: Kube
    lease: str
    replicas: tuple[Replica, Replica]

    @property
    def holder(self) -> str:
        """Who holds the Lease; empty: nobody."""
        found = self.kube.get(f"lease/{self.lease}", ACCOUNT[0]) or {}
        return str(found.get("spec", {}).get("holderIdentity") or "")

    def leader(self) -> tuple[Replica, Replica]:
        """(the one that leads, the one that stands by), once it is so."""

        def found() -> tuple[Replica, Replica] | None:
            holder = self.holder
            for one, other in (self.replicas, self.replicas[::-1]):
                if holder and one.identity == holder and other.operator.alive and other.stands_by:
                    return one, other
            return None

        return until("one that leads and one that stands by", found, timeout=90, pause=0.05)

    def await_holder(self, replica: Replica) -> None:
        until("the other one leads", lambda: self.holder == replica.identity, 60, pause=0.02)

    def kill(self) -> None:
        for replica in self.replicas:
            replica.operator.kill()


def of_nova(log: Log) -> list[Write]:
    """Every request that changes something there."""
    return [
        Write(entry.at, match[1], entry.name, entry.status < 300)
        for entry in list(log.entries)
        if entry.method != "GET" and entry.service != "identity"
        if (match := AGENT.match(entry.agent))
    ]


def of_kubernetes(audit: Path, since: float, *namespaces: str) -> list[Write]:
    """Every write to the API server in these namespaces, the Leases' included."""
    return [write for write in _audited(audit, frozenset(namespaces)) if write.at >= since]


def watched_from(audit: Path, since: float, namespace: str) -> list[str]:
    """The resource version from which each watch in this namespace was asked for."""
    found = (
        parse_qs(urlsplit(event["requestURI"]).query).get("resourceVersion", [""])[0]
        for event in _events(audit, frozenset({namespace}))
        if event["verb"] == "watch" and event["stage"] == "ResponseStarted"
        if _received(event) >= since
    )
    return list(filter(None, found))


def _events(audit: Path, namespaces: frozenset[str]) -> Iterator[Json]:
    for line in audit.read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # it is being written
            continue
        if event.get("objectRef", {}).get("namespace") in namespaces:
            yield event


def _received(event: Json) -> float:
    return datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()


def _audited(audit: Path, namespaces: frozenset[str]) -> Iterator[Write]:
    for event in _events(audit, namespaces):
        about = event["objectRef"]
        agent = AGENT.match(event.get("userAgent", ""))
        if agent is None or event["verb"] == "watch":
            continue
        yield Write(
            _received(event),
            agent[1],
            f"{event['verb']} {about.get('resource')}",
            event.get("responseStatus", {}).get("code", 0) < 300,
        )


def is_work(write: Write) -> bool:
    return not write.what.endswith(" leases")


def terms(writes: Sequence[Write]) -> list[str]:
    """Who worked, one after the other: nobody comes twice where there was one writer at a time."""
    ordered = sorted(filter(is_work, writes))
    return [by for by, _ in groupby(ordered, key=lambda write: write.by)]


def first_after(writes: Sequence[Write], moment: float, *others: str) -> float:
    """Seconds from a moment to the first write by none of `others`."""
    found = [w.at for w in writes if w.at > moment and w.by not in others and w.accepted]
    return min(found, default=time.time()) - moment
