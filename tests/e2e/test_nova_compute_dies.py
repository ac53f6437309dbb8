"""nova-compute dies in the middle of moves, on the source and on the destination.

Two hosts are drained side by side. One nova-compute is killed (kill -9) during cold moves, and
asked for more in the seconds in which Nova still takes it for alive; one during live copies and a
queue of them, together with that of the host on which servers are just arriving. While they are
down nothing is confirmed, reverted or aborted, and each drain says what is missing. They return,
and Nova leaves servers in ERROR, moves that never end, and records of moves that never end. People
do what the drains say, and both complete.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest
from tests.harness.books import NeverWronglyDrained
from tests.harness.kubernetes import Drain, Kube, Operator, condition
from tests.harness.openstack import Json, Lab, until
from tests.harness.promises import COLD, LIVE, moved

KEEP = {"afterDrain": "KeepDisabled"}
REBOOT = (("reboot", {"type": "HARD"}),)
RESET = (("os-resetState", {"state": "active"}),)
RESET_AND_REBOOT = (*RESET, *REBOOT)
STATEMENT = re.compile(r"UPDATE migrations SET .*?;")
AT_ONCE = 4  # live migrations from one host (QUIESCE_CLOUD_MAX_LIVE_MIGRATIONS)

State = tuple[str, str]  # the server's status, and that of its newest migration


@dataclass(frozen=True)
class Victim:
    """A server, and what the death does to it.

    down, back: its state while nova-compute is down, and after its return.
    faults: of the hypervisor until then. boot: the status that it is brought to.
    late: it is locked, and moved only when its nova-compute is dead already.
    waits: what the drain says of it meanwhile; reason: after the return, if anything.
    person: what a person does to it then.
    actions: all that Nova's log says was done with it, but for what ended its record.
    """

    down: State
    back: State
    actions: tuple[str, ...]
    faults: dict[str, str] = field(default_factory=dict)
    boot: str = "ACTIVE"
    late: bool = False
    waits: str = "SourceDown"
    reason: str = ""
    person: tuple[tuple[str, Any], ...] = ()


CROWD = [f"crowd-{n}" for n in range(AT_ONCE + 2)]
HANGS = {"live_migration": "hang"}
ABORTED = ("live_migration_cancel", "resetState")  # which ends in ERROR, its guest untouched

AMONG_COLD = {
    "copying": Victim(
        ("RESIZE", "migrating"),
        ("SHUTOFF", "migrating"),
        ("stop", "migrate", *COLD),
        {"migrate_disk_and_power_off": "hang"},
        boot="SHUTOFF",
    ),
    "moved": Victim(
        ("VERIFY_RESIZE", "finished"), ("SHUTOFF", "confirmed"), ("stop", *COLD), boot="SHUTOFF"
    ),
    "late": Victim(
        ("RESIZE", "pre-migrating"),
        ("ERROR", "error"),
        ("stop", "lock", "migrate", "resetState", "reboot", *LIVE),
        boot="SHUTOFF",
        late=True,
        reason="SourceFailed",
        person=RESET_AND_REBOOT,
    ),
    "late-live": Victim(
        ("MIGRATING", "accepted"),
        ("ERROR", "error"),
        ("lock", *LIVE, "resetState"),
        late=True,
        reason="DestinationFailed",
        person=RESET,
    ),
    "aborted": Victim(
        ("MIGRATING", "running"),
        ("MIGRATING", "running"),
        (*LIVE, *LIVE, *ABORTED, *LIVE),
        HANGS,
    ),
}
COPIES = Victim(("MIGRATING", "running"), ("ACTIVE", "error"), LIVE * 2, HANGS)
QUEUES = Victim(("MIGRATING", "queued"), ("ACTIVE", "queued"), LIVE * 2, HANGS)
AMONG_LIVE = dict.fromkeys(CROWD, COPIES) | {
    "arriving": Victim(
        ("RESIZE", "post-migrating"),
        ("RESIZE", "post-migrating"),
        ("stop", "migrate", "resetState", "reboot"),
        {"finish_migration": "hang"},
        boot="SHUTOFF",
        waits="Stuck",
        reason="Stuck",
        person=RESET_AND_REBOOT,
    ),
    "arrived": Victim(
        ("VERIFY_RESIZE", "finished"),
        ("VERIFY_RESIZE", "finished"),
        ("stop", *COLD),
        boot="SHUTOFF",
    ),
}


@dataclass
class Side:
    """One of the hosts, its servers, and its drain."""

    cloud: Lab
    host: str
    victims: dict[str, Victim]
    prefix: str
    ids: dict[str, str] = field(default_factory=dict)
    # By name: actions that ended its record.
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict)
    drain: Drain = field(init=False)

    def boot(self) -> None:
        for state in ("ACTIVE", "SHUTOFF"):
            names = [name for name, victim in self.victims.items() if victim.boot == state]
            self.ids |= dict(
                zip(
                    names,
                    self.cloud.boot(self.host, [self.prefix + n for n in names], state),
                    strict=True,
                )
            )
        for name, victim in self.victims.items():
            if victim.faults:
                self.cloud.fault(f"server:{self.prefix}{name}", **victim.faults)
            if victim.late:
                self.cloud.admin.action(self.ids[name], "lock")

    def apply(self, kube: Kube, namespace: str, target: str, **spec: Any) -> None:
        """All at once; what is locked stays."""
        migration = {"maxParallel": 20, "timeout": "20s", "targetHost": target} | spec.pop(
            "migration", {}
        )
        more = {
            "servers": {"locked": "Block"},
            "confirmation": {"policy": "Manual"},
            "migration": migration,
        }
        self.drain = Drain.apply(kube, namespace, self.host, "Live", **more, **spec)

    def states(self) -> dict[str, State]:
        """By name, as Nova has it now."""
        servers = {s["id"]: s for s in self.cloud.servers()}
        rows = sorted(self.cloud.migrations(self.host), key=lambda row: int(row["id"]))
        newest = {row["instance_uuid"]: row["status"] for row in rows}
        return {
            n: (servers[i]["status"], newest.get(i, ""))
            for n, i in self.ids.items()
            if i in servers
        }

    def until_states(self, wanted: dict[str, State]) -> None:
        def look() -> bool:
            return wanted.items() <= self.states().items()

        try:
            until(f"{self.host}: {wanted}", look, pause=0.5)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; they are {self.states()}") from error

    def until_states_with_new_tries(self, wanted: dict[str, State]) -> None:
        """Where the next tries fail alike, because a nova-compute is not back yet, the drain lets
        one server try at a time, until a person requests new tries.
        """
        requests = count(1)

        def look() -> bool:
            if "LiveMigrationPaused" in self.problems(self.drain.status).values():
                self.drain.annotate(f"quiesce.dev/requestedAt=new-tries-{next(requests)}")
            return wanted.items() <= self.states().items()

        until(f"{self.host}: {wanted}, by {self.states()}", look, pause=2.0)

    def in_the_middle(self) -> None:
        """All but the late ones are where the death is to strike them."""
        self.until_states(
            {name: victim.down for name, victim in self.victims.items() if not victim.late}
        )

    def all_wait_for_the_dead(self) -> None:
        self.until_states({name: victim.down for name, victim in self.victims.items()})
        wanted = {name: victim.waits for name, victim in self.victims.items()}
        status = self.drain.until(
            f"stalled: {wanted}", lambda s: s["phase"] == "Stalled" and self.problems(s) == wanted
        )
        for row in (row for row in status["problems"] if row["reason"] == "SourceDown"):
            assert "nova-compute of this host is down" in row["message"]
            assert any("systemctl start nova-compute" in remedy for remedy in row["remedies"])
        self.until_states({name: victim.down for name, victim in self.victims.items()})

    def problems(self, status: Json) -> dict[str, str]:
        return {
            row["name"].removeprefix(self.prefix): row["reason"]
            for row in status.get("problems") or ()
        }

    def named(self, reason: str, names: Iterable[str]) -> dict[str, str]:
        """Once the drain names all of these for this reason: its words by name, remedies last."""
        wanted = set(names)

        def look(status: Json) -> bool:
            return wanted <= {name for name, why in self.problems(status).items() if why == reason}

        status = self.drain.until(f"{self.host}: {reason} of {wanted}", look)
        rows = {row["name"].removeprefix(self.prefix): row for row in status["problems"]}
        return {
            name: " ".join((rows[name]["message"], *rows[name].get("remedies", ())))
            for name in wanted
        }

    def people_act(self) -> None:
        """They do what the drain says of those whose guests may be off."""
        for name, victim in self.victims.items():
            if victim.person:
                words = self.named(victim.reason, [name])[name]
                asked_for = dict(victim.person)
                assert ("openstack server reboot --hard" in words) == ("reboot" in asked_for)
                assert ("--state active" in words) == ("os-resetState" in asked_for)
                for action in victim.person:
                    self.cloud.admin.action(self.ids[name], *action)

    def patch(self, spec: Json) -> None:
        """Change the drain, and let it have a look since."""
        self.drain.patch(spec)
        changed = (self.drain.get() or {})["metadata"]["generation"]
        self.drain.until("the change seen", lambda s: s["observedGeneration"] == changed)

    def ends(self) -> None:
        """The last obstacle is allocations of moves that Nova forgot; the message names them."""
        status = self.drain.until(
            "the claims named", lambda s: condition(s, "Stalled").get("reason") == "AllocationsLeft"
        )
        for consumer in self.cloud.holders(self.host):
            assert consumer in status["message"]
            self.cloud.drop_allocations(consumer)
        self.drain.wait("Drained")
        for name, server_id in self.ids.items():
            victim = self.victims[name]
            actions = (*victim.actions, *self.extra.get(name, ()))
            moved(
                self.cloud,
                server_id,
                self.host,
                "ACTIVE" if victim.person else victim.boot,
                actions,
            )


def begin_late(side: Side) -> None:
    """Have the late ones moved too, before Nova knows that their nova-compute is dead."""
    side.drain.patch({"servers": {"locked": "Move"}})
    late = {name: victim.down for name, victim in side.victims.items() if victim.late}

    def asked_for() -> bool:
        side.cloud.seem_alive(side.host)
        return late.items() <= side.states().items()

    until("the late ones asked for", asked_for)


def record_of(cloud: Lab, message: str) -> Json:
    """The migration record that a message of a StuckMigration has the statement for."""
    found = re.search(r"WHERE id=(\d+) ", message)
    assert found, message
    rows = cloud.admin.get("/os-migrations")["migrations"]
    return dict(next(row for row in rows if str(row["id"]) == found[1]))


def end_in_database(side: Side, name: str) -> None:
    message = side.named("StuckMigration", [name])[name]
    found = STATEMENT.search(message)
    assert found, message
    side.cloud.in_cell(found[0])
    assert record_of(side.cloud, message)["status"] == "error"


def end_by_another_move(side: Side, name: str) -> None:
    """Cold, and left in VERIFY_RESIZE until the drained host has ended the old record."""
    message = side.named("StuckMigration", [name])[name]
    assert "leave it in VERIFY_RESIZE" in message
    cloud, server_id = side.cloud, side.ids[name]
    cloud.admin.action(server_id, "migrate")
    cloud.wait_status(server_id, "VERIFY_RESIZE")
    until("the old record ended", lambda: record_of(cloud, message)["status"] == "error")
    cloud.admin.action(server_id, "confirmResize")
    cloud.wait_status(server_id, "ACTIVE")
    side.extra[name] = COLD


def reset_after_abort(side: Side, name: str) -> None:
    """Nova sets a server to ERROR whose live migration was aborted; its guest runs on."""
    words = side.named("LiveFailedInError", [name])[name]
    assert "openstack server set --state active" in words
    assert "--hard" not in words
    side.cloud.admin.action(side.ids[name], *RESET[0])


def abort_and_force(side: Side, aborted: str, forced: str) -> None:
    """Copies that make no progress, and onLiveTimeout: Wait.

    People abort one, and have the drain force the other.
    """
    words = side.named("Stuck", [aborted, forced])
    assert "openstack server migration abort" in words[aborted]
    moves = side.cloud.migrations(side.host)
    mine = next(
        m for m in moves if m["instance_uuid"] == side.ids[aborted] and m["status"] == "running"
    )
    answer, text = side.cloud.admin.ask(
        "DELETE", f"/servers/{side.ids[aborted]}/migrations/{mine['id']}"
    )
    assert answer == 202, text
    reset_after_abort(side, aborted)
    side.drain.patch({"migration": {"onLiveTimeout": "ForceComplete"}})


@pytest.mark.promise("never-3", "always-3", "always-5", "always-6")
def test_every_death_is_survived_or_named(
    kube: Kube, cloud: Lab, operator: Operator, credentials: str, hosts: tuple[str, ...]
) -> None:
    cold, live = (
        Side(cloud, hosts[0], AMONG_COLD, "cold-"),
        Side(cloud, hosts[1], dict(AMONG_LIVE), "live-"),
    )
    dying, taker = hosts[2:]
    for side in (cold, live):
        side.boot()
    cold.apply(kube, credentials, taker)
    live.apply(kube, credentials, dying, service=KEEP, migration={"onLiveTimeout": "Wait"})

    with (
        NeverWronglyDrained(cloud, cold.drain, cold.host),
        NeverWronglyDrained(cloud, live.drain, live.host),
    ):
        until(
            "the queue full",
            lambda: list(live.states().values()).count(QUEUES.down) == len(CROWD) - AT_ONCE,
        )
        queued = [name for name, state in live.states().items() if state == QUEUES.down]
        live.victims |= dict.fromkeys(queued, QUEUES)
        for side in (cold, live):
            side.in_the_middle()

        cloud.kill_compute(cold.host, live.host, dying)
        begin_late(cold)
        for side in (cold, live):
            side.all_wait_for_the_dead()
            side.patch({"confirmation": {"policy": "Automatic"}})
            side.all_wait_for_the_dead()

        aborted, forced = [name for name, victim in live.victims.items() if victim is COPIES][:2]
        live.victims[aborted] = Victim(COPIES.down, COPIES.down, (*LIVE * 2, *ABORTED, *LIVE))
        live.victims[forced] = Victim(
            COPIES.down, COPIES.down, (*LIVE * 2, "live_migration_force_complete")
        )
        live.victims["arrived"] = replace(live.victims["arrived"], back=("SHUTOFF", "confirmed"))
        cloud.clear_faults()
        for name in ("cold-aborted", f"live-{aborted}"):
            cloud.fault(f"server:{name}", live_migration="hang,once")
        cloud.fault(f"server:live-{forced}", live_migration="hang")
        cloud.start_compute(cold.host, live.host, dying)
        for side in (cold, live):
            side.until_states_with_new_tries(
                {name: victim.back for name, victim in side.victims.items() if victim is not COPIES}
            )
            side.people_act()

        end_in_database(live, queued[0])
        end_in_database(live, "arriving")
        end_in_database(cold, "copying")
        end_by_another_move(live, queued[1])
        reset_after_abort(cold, "aborted")
        abort_and_force(live, aborted, forced)
        for side in (cold, live):
            side.ends()
        cloud.stop_compute(cold.host)
        for side in (cold, live):
            side.drain.wait("Ready")
        assert cold.drain.status["phase"] == "Deleted"
    assert operator.healthy()
