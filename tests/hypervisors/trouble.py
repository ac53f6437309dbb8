"""A drain of a real hypervisor that something breaks, and what became of the guests."""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import ne
from types import TracebackType
from typing import Any, Self

from tests.harness.books import NeverWronglyDrained
from tests.harness.hypervisors import Guest, Host, Hypervisors, Report
from tests.harness.kubernetes import Drain, Json, Kube, condition
from tests.harness.openstack import until
from tests.harness.remedies import Administrator
from tests.hypervisors.conftest import KEYRING, Keyring, never_stopped, same_disk

KEEP = {"afterDrain": "KeepDisabled"}
RESET, HARD_REBOOT = "openstack server set --state active", "openstack server reboot --hard"
START, NEW_TRIES = "openstack server start", "kubectl annotate"
EVERY_SECONDS = 1.0
SLOW = 4  # Mbit/s: the copy of a guest's disk takes some ten seconds


class NeverRunsTwice:
    """Asks all hosts again and again which guests run there."""

    def __init__(self, hypervisors: Hypervisors) -> None:
        self.hypervisors = hypervisors
        self.twice: list[str] = []
        self.sweeps = 0
        self._before: set[str] = set()
        self._over = threading.Event()
        self._sweeper = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._sweeper.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises AssertionError where one ran on two hosts. An error of the block goes first."""
        self._over.set()
        self._sweeper.join()
        assert not self.twice, f"ran on two hosts at once: {self.twice}"
        assert self.sweeps or kind, "no host was ever asked"

    def _watch(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self._sweep()

    def _sweep(self) -> None:
        """Hosts are asked one after the other, so that a guest that moves meanwhile may be seen on
        both: not in two sweeps, though.
        """
        seen = Counter(server for host in self.hypervisors.hosts for server in host.running())
        now = {server for server, times in seen.items() if times > 1}
        self.twice += sorted(now & self._before)
        self._before = now
        self.sweeps += 1


@dataclass
class Trouble:
    """Guests on `cmp1` that report, its drain to `cmp2`, and the administrator of both."""

    kube: Kube
    hypervisors: Hypervisors
    namespace: str
    guests: Sequence[Guest]
    before: dict[str, Report] = field(default_factory=dict)
    drain: Drain = field(init=False)
    administrator: Administrator = field(init=False)

    def __post_init__(self) -> None:
        self.before = {guest.id: guest.next_report() for guest in self.guests}

    @property
    def source(self) -> Host:
        return self.hypervisors["cmp1"]

    @property
    def target(self) -> Host:
        return self.hypervisors["cmp2"]

    @contextmanager
    def drained(self, method: str, **spec: Any) -> Iterator[Drain]:
        """Under a drain to `cmp2`, one server at a time and tried once, unless `migration` says
        otherwise. It is never called empty wrongly, and no guest ever runs twice.
        """
        few = {"maxParallel": 1, "attempts": 1, "targetHost": self.target.name}
        migration = few | spec.pop("migration", {})
        if method == "Cold":
            spec = {"keyringRef": {"name": KEYRING}} | spec
        self.drain = Drain.apply(
            self.kube,
            self.namespace,
            self.source.name,
            method,
            migration=migration,
            **({"service": KEEP} | spec),
        )
        self.administrator = Administrator(self.hypervisors, self.drain, self.source.name)
        lab = self.hypervisors.lab
        with (
            NeverWronglyDrained(lab, self.drain, self.source.name),
            NeverRunsTwice(self.hypervisors),
        ):
            yield self.drain

    # What happens

    def copying(self, *but: Guest) -> Guest:
        """The guest whose disk is being copied by a cold migration, as soon as some of it is on the
        destination: before that scp has no connection that could be cut.
        """

        def arrives(guest: Guest) -> bool:
            return self.source.copies(guest) and self.target.has_disk(guest)

        return self._first("a copy", arrives, but)

    def migrating(self, *but: Guest) -> Guest:
        """The guest whose live migration copies its disk and memory, as soon as there is one."""

        def runs(guest: Guest) -> bool:
            return self.hypervisors.migration(guest).get("status") == "running"

        return self._first("a live migration", runs, but)

    def _first(self, what: str, look: Callable[[Guest], bool], but: Sequence[Guest]) -> Guest:
        others = [guest for guest in self.guests if guest not in but]
        found = until(what, lambda: next(filter(look, others), None), timeout=240.0, pause=0.05)
        assert found
        return found

    def stalled(self, *reasons: str) -> dict[str, Json]:
        """Waits until it needs a person, with exactly these reasons. -> problems by name."""
        status = self.drain.until(
            f"stalled with {sorted(reasons)}",
            lambda s: s["phase"] == "Stalled" and _reasons(s) == sorted(reasons),
        )
        return {row["name"]: row for row in status["problems"]}

    def named(self, guest: Guest, reason: str, words: str = "") -> Json:
        """Waits for this problem of a guest, with these words, whatever else there is."""

        def look(status: Json) -> Json | None:
            rows = status.get("problems") or ()
            return next(
                (
                    row
                    for row in rows
                    if (row["id"], row["reason"]) == (guest.id, reason) and words in row["message"]
                ),
                None,
            )

        found = look(self.drain.until(f"{reason} of {guest.name}", look))
        assert found
        return found

    # What a person does

    def follow(self, problem: Json, *remedies: str) -> None:
        self.administrator.follow(problem, *remedies)

    def try_live_again(self, guest: Guest, problem: Json) -> None:
        """What its problem says of one in ERROR; and then a new set of tries."""
        self.follow(problem, RESET)
        self.follow(self.named(guest, "LiveMigrationFailed"), NEW_TRIES)

    def leftovers_ended(self) -> list[str]:
        """Until it is drained: ends records that never end, and releases what they hold in
        placement, as it says. -> what that was, by reason.
        """
        ended: list[str] = []

        def look(status: Json) -> str | None:
            stuck = any(row["reason"] == "StuckMigration" for row in status.get("problems") or ())
            stalled = condition(status, "Stalled").get("reason")
            drained = condition(status, "Drained").get("status") == "True" and "Drained"
            left = stalled == "AllocationsLeft" and "AllocationsLeft"
            return drained or (stuck and "StuckMigration") or left or None

        while True:
            status = self.drain.until(f"the end, or what is left; so far {ended}", look)
            found = look(status)
            if found == "Drained":
                return ended
            if found == "StuckMigration":
                rows = [row for row in status["problems"] if row["reason"] == found]
                self.follow(rows[0], "End the record in the cell's database")
            else:
                self.administrator.release_allocations(status["message"])
            ended.append(str(found))
            self.drain.until("another status", partial(ne, status))

    # What became of the guests

    def ended(self, live: Iterable[Guest] = ()) -> None:
        """Drained; every guest runs on `cmp2` and nowhere else, its disk is whole, and nothing that
        it had written is lost. Those of `live` have never stopped.
        """
        self.drain.wait("Drained")
        assert self.drain.status["problems"] == []
        unbroken = {guest.id for guest in live}
        for guest in self.guests:
            assert (guest.host, guest.status) == (self.target.name, ("ACTIVE", None))
            before = self.before[guest.id]
            after = guest.next_report()  # not one that was copied along
            (never_stopped if guest.id in unbroken else same_disk)(before, after)
            assert guest.domain_states().get(guest.host) == "running"
            assert guest.id not in self.source.running()

    def untouched(self, guest: Guest) -> None:
        """It runs on where it was, and has never stopped."""
        assert guest.host == self.source.name
        never_stopped(self.before[guest.id], guest.next_report())
        assert guest.domain_states() == {self.source.name: "running"}

    def runs_again(self, guest: Guest) -> None:
        """Waits until a guest that was down reports, with the disk that it had."""
        until(f"{guest.name} ACTIVE", lambda: guest.status == ("ACTIVE", None))
        same_disk(self.before[guest.id], guest.next_report())

    def down(self, guest: Guest) -> None:
        """It runs nowhere, and its disk is on the drained host."""
        assert guest.id not in self.source.running() | self.target.running()
        assert guest.id in self.source.instance_dirs()


def with_keys(
    kube: Kube, hypervisors: Hypervisors, keyring: Keyring, names: Sequence[str], **boot: Any
) -> Trouble:
    """Guests, and hosts between which cold migrations are proven to work."""
    keyring.apply()
    guests = hypervisors.boot("cmp1", names, **boot)
    keyring.ready()
    return Trouble(kube, hypervisors, keyring.namespace, guests)


def on_a_slow_link(kube: Kube, hypervisors: Hypervisors, keyring: Keyring) -> Trouble:
    """Two guests, for live migrations over a slow link; their hosts have no keys."""
    guests = hypervisors.boot("cmp1", ["one", "two"])
    trouble = Trouble(kube, hypervisors, keyring.namespace, guests)
    trouble.source.slow(SLOW)
    return trouble


def _reasons(status: Json) -> list[str]:
    return sorted(row["reason"] for row in status.get("problems") or ())
