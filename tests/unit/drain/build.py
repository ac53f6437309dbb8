"""Short ways to say what a tick has seen. Defaults: host cmp1, enabled and up, disabled by us once the drain has begun."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec
from quiesce.drain.decide import compute_service
from quiesce.drain.decide.compute_service import DrainIdentity
from quiesce.drain.decide.goals import Decision, Limits, ServerVerdict, decide
from quiesce.drain.model.actions import Action
from quiesce.drain.model.observation import Ending, Observation, ProofReads, Refusal
from quiesce.drain.model.verdict import Verdict
from quiesce.drain.report.status import Report, status
from quiesce.openstack.records import RUNNING, SHUTDOWN, Flavor, Migration, Server, Service

HOST = "cmp1"
ME = "user-of-quiesce"
TENANT = "user-of-a-tenant"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
WHO = DrainIdentity("openstack", "compute-1", "0a1b2c3d-0000-0000-0000-000000000000")
LEAVING = replace(WHO, deleting=True)
FOUND = 100  # the newest migration when the drain began: those above are of its time

POWER = {"ACTIVE": RUNNING, "PAUSED": 3, "SHUTOFF": SHUTDOWN}


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def spec(method: str = "Cold", **fields: Any) -> DrainSpec:
    """Fields as in a manifest; `migration` is merged with the method."""
    migration = {"method": method} | fields.pop("migration", {})
    return DrainSpec.read({"host": HOST, "migration": migration, **fields})


def begun(**fields: Any) -> Record:
    """A drain that found the service enabled and has disabled it."""
    defaults: dict[str, Any] = {
        "found_status": "enabled",
        "found_id": "svc-1",
        "node": HOST,
        "started": "2026-03-01T11:00:00Z",
    }
    return Record(**defaults | {"found_migration": FOUND, "attempts_from": FOUND} | fields)


def server(
    id_: str = "s1", status_: str = "ACTIVE", task: str | None = None, **fields: Any
) -> Server:
    defaults: dict[str, Any] = {
        "name": f"name-{id_}",
        "power_state": POWER.get(status_, RUNNING),
        "host": HOST,
    }
    return Server(id=id_, status=status_, task_state=task, **defaults | fields)


def arrived_elsewhere(id_: str = "s1", **fields: Any) -> Server:
    """Moved to cmp2 and waiting there in VERIFY_RESIZE."""
    return server(id_, "VERIFY_RESIZE", **{"host": "cmp2"} | fields)


def flavor(**extra_specs: str) -> Flavor:
    return Flavor(
        extra_specs={name.replace("__", ":"): value for name, value in extra_specs.items()}
    )


def migration(
    id_: int = FOUND + 1, status_: str = "finished", server_id: str = "s1", **fields: Any
) -> Migration:
    """Ours, cold, from cmp1 to cmp2, of the drain's time."""
    defaults: dict[str, Any] = {
        "type": "migration",
        "source": HOST,
        "dest": "cmp2",
        "user_id": ME,
        "created": ago(30),
        "uuid": f"uuid-{id_}",
    }
    return Migration(id=id_, server_id=server_id, status=status_, **defaults | fields)


def service(status_: str = "disabled", **fields: Any) -> Service:
    """Disabled: by this drain, unless a reason is given."""
    ours = compute_service.mark(WHO) if status_ == "disabled" else None
    return Service(
        **{"id": "svc-1", "host": HOST, "status": status_, "state": "up", "disabled_reason": ours}
        | fields
    )


def other(name: str = "cmp2", **fields: Any) -> Service:
    defaults = {
        "id": f"svc-{name}",
        "host": name,
        "status": "enabled",
        "state": "up",
        "disabled_reason": None,
    }
    return Service(**defaults | fields)


def seen(
    servers: Iterable[Server] = (), migrations: Iterable[Migration] = (), **fields: Any
) -> Observation:
    """`service` None: Nova has no such service."""
    mine: Service | None = fields.pop("service", service())
    elsewhere = {s.id: s for s in fields.pop("elsewhere", ())}
    defaults: dict[str, Any] = {"now": NOW, "host": HOST, "user_id": ME, "node": HOST}
    newest_first = tuple(sorted(migrations, key=lambda m: -m.id))
    services = (mine, other()) if mine else (other(),)
    whole = {
        "services": services,
        "servers": tuple(servers),
        "migrations": newest_first,
        "elsewhere": elsewhere,
    }
    return Observation(**defaults | whole | {"service": mine} | fields)


def empty(**fields: Any) -> Observation:
    """An empty host, read completely, and clean for long enough."""
    defaults: dict[str, Any] = {"proof": ProofReads(frozenset(), True), "clean_since": ago(60)}
    return seen(**defaults | fields)


def ending(text: str, seconds_ago: float = 1000) -> Ending:
    return Ending(text, ago(seconds_ago))


def refusal(call: str, status_: int = 409, count: int = 1, seconds_ago: float = 0) -> Refusal:
    return Refusal(call, status_, "Nova's words", count, ago(seconds_ago))


NO_HOST = "No valid host was found. There are not enough hosts available."
NO_SSH = "Resize error: not able to execute ssh command: Permission denied (publickey)"


def decided(
    what: Observation,
    spec_: DrainSpec | None = None,
    memory: Record | None = None,
    who: DrainIdentity = WHO,
    **limits: Any,
) -> Decision:
    return decide(
        who, spec_ or spec(), begun() if memory is None else memory, what, Limits(**limits)
    )


def verdict(
    what: Observation, spec_: DrainSpec | None = None, memory: Record | None = None, of: str = "s1"
) -> Verdict:
    return judged(what, spec_, memory)[of].verdict


def judged(
    what: Observation, spec_: DrainSpec | None = None, memory: Record | None = None
) -> dict[str, ServerVerdict]:
    return {j.server_id: j for j in decided(what, spec_, memory).judged}


def actions(
    what: Observation,
    spec_: DrainSpec | None = None,
    memory: Record | None = None,
    who: DrainIdentity = WHO,
) -> tuple[Action, ...]:
    return decided(what, spec_, memory, who).actions


def report(
    what: Observation,
    spec_: DrainSpec | None = None,
    memory: Record | None = None,
    who: DrainIdentity = WHO,
    previous: Mapping[str, Any] | None = None,
    generation: int = 1,
) -> Report:
    """With `previous`, the memory is what that status remembers, as in a real tick."""
    spec_ = spec_ or spec()
    if memory is None:
        memory = begun() if previous is None else Record.read(previous)
    decision = decide(who, spec_, memory, what, Limits())
    return Report(who, spec_, memory, what, decision, dict(previous or {}), generation)


def status_of(what: Observation, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return status(report(what, *args, **kwargs))


def condition(status_: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    return next((c for c in status_["conditions"] if c["type"] == type_), None)


def at(what: Observation, seconds_later: float) -> Observation:
    """The same sight, later."""
    return replace(what, now=what.now + timedelta(seconds=seconds_later))
