"""Short ways to say what a tick has observed. Defaults: host cmp1, enabled and up, disabled by us
once the drain has begun.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from quiesce.api.drain.record import Record, Try
from quiesce.api.drain.spec import DrainSpec
from quiesce.api.drain.status import DrainStatus
from quiesce.drain.decide import decide
from quiesce.drain.model.actions import Action
from quiesce.drain.model.decision import Decision, Limits
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import Cause, History, Refusal
from quiesce.drain.model.identity import DrainIdentity
from quiesce.drain.model.observation import Observation, ProofReads
from quiesce.drain.model.verdict import (
    Blocked,
    Follow,
    Held,
    Move,
    ServerVerdict,
    Verdict,
    Wait,
)
from quiesce.drain.report import Report, status
from quiesce.openstack.records import RUNNING, SHUTDOWN, Flavor, Migration, Server, Service

HOST = "cmp1"
ME = "user-of-quiesce"
TENANT = "user-of-a-tenant"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
IDENTITY = DrainIdentity("openstack", "compute-1", "0a1b2c3d-0000-0000-0000-000000000000")
NEVER_SET = timedelta(0)  # the clock of the operator's machine
FOUND = 100  # the newest migration when the drain began: those above are of its time

POWER = {"ACTIVE": RUNNING, "PAUSED": 3, "SHUTOFF": SHUTDOWN}
_OF_HISTORY = frozenset(f.name for f in dataclasses.fields(History)) - {"servers"}


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
        "found_migration": FOUND,
        "attempts_from": FOUND,
    }
    return Record(**defaults | fields)


def tried(
    was: str | None = "ACTIVE",
    method: str | None = "cold",
    seconds_ago: float = 60,
    attempt: int = 1,
) -> Try:
    return Try(was, method, attempt, ago(seconds_ago).strftime("%Y-%m-%dT%H:%M:%SZ"))


def was(**statuses: str) -> Record:
    """Begun, and these servers had these statuses before their moves."""
    return begun(tries={server_id: tried(status_) for server_id, status_ in statuses.items()})


def announced(what: Observation) -> Record:
    """Begun, and its own moves are in the record, as they are before each call."""
    mine = [m for m in what.migrations if m.user_id == ME and not m.terminal]
    return begun(
        tries={
            m.server_id: tried(
                None, "live" if m.live else "cold", (NOW - m.created).total_seconds()
            )
            for m in mine
        }
    )


def drain(
    spec_: DrainSpec | None = None,
    record: Record | None = None,
    deleting: bool = False,
    **fields: Any,
) -> Drain:
    record = begun() if record is None else record
    return Drain(IDENTITY, spec_ or spec(), record, deleting=deleting, **fields)


def server(
    id_: str = "s1", status_: str = "ACTIVE", task: str | None = None, **fields: Any
) -> Server:
    power = POWER.get(status_, RUNNING)
    defaults: dict[str, Any] = {"name": f"name-{id_}", "power_state": power, "host": HOST}
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
        "uuid": f"00000000-0000-4000-8000-{id_:012}",
    }
    return Migration(id=id_, server_id=server_id, status=status_, **defaults | fields)


def service(status_: str = "disabled", **fields: Any) -> Service:
    """Disabled: by this drain, unless a reason is given."""
    defaults: dict[str, Any] = {
        "id": "svc-1",
        "host": HOST,
        "status": status_,
        "state": "up",
        "disabled_reason": IDENTITY.mark if status_ == "disabled" else None,
    }
    return Service(**defaults | fields)


def other(name: str = "cmp2", **fields: Any) -> Service:
    defaults: dict[str, Any] = {
        "id": f"svc-{name}",
        "host": name,
        "status": "enabled",
        "state": "up",
        "disabled_reason": None,
    }
    return Service(**defaults | fields)


def observed(
    servers: Iterable[Server] = (), migrations: Iterable[Migration] = (), **fields: Any
) -> Observation:
    """Fields of an Observation or of its History. `service` None: Nova has no such service."""
    mine: Service | None = fields.pop("service", service())
    history = History(**{name: fields.pop(name) for name in _OF_HISTORY & fields.keys()})
    whole: dict[str, Any] = {
        "now": NOW,
        "host": HOST,
        "user_id": ME,
        "node": HOST,
        "service": mine,
        "services": (mine, other()) if mine else (other(),),
        "servers": tuple(servers),
        "migrations": tuple(sorted(migrations, key=lambda m: -m.id)),
        "elsewhere": {s.id: s for s in fields.pop("elsewhere", ())},
        "history": history,
    }
    return Observation(**whole | fields)


def replace(value: Any, **fields: Any) -> Any:
    """As of dataclasses; of an Observation also fields of its history."""
    if isinstance(value, Observation):
        of_history = {name: fields.pop(name) for name in _OF_HISTORY & fields.keys()}
        history = dataclasses.replace(value.history, **of_history)
        fields = {"history": history} | fields
    return dataclasses.replace(value, **fields)


def empty(**fields: Any) -> Observation:
    """An empty host, read completely, and clean for long enough."""
    defaults: dict[str, Any] = {"proof": ProofReads(frozenset(), True), "clean_since": ago(60)}
    return observed(**defaults | fields)


def cause(text: str, seconds_ago: float = 1000) -> Cause:
    return Cause(text, ago(seconds_ago))


def refusal(call: str, status_: int = 409, count: int = 1, seconds_ago: float = 0) -> Refusal:
    return Refusal(call, status_, "Nova's words", count, ago(seconds_ago))


NO_HOST = "No valid host was found. There are not enough hosts available."
NO_SSH = "Resize error: not able to execute ssh command: Permission denied (publickey)"


def decided(
    what: Observation,
    spec_: DrainSpec | None = None,
    record: Record | None = None,
    deleting: bool = False,
    **limits: Any,
) -> Decision:
    record = announced(what) if record is None else record
    return decide(drain(spec_, record, deleting=deleting), what, Limits(**limits))


def verdict(
    what: Observation,
    spec_: DrainSpec | None = None,
    record: Record | None = None,
    of: str = "s1",
) -> Verdict:
    return verdicts(what, spec_, record)[of].verdict


def verdicts(
    what: Observation, spec_: DrainSpec | None = None, record: Record | None = None
) -> dict[str, ServerVerdict]:
    return {v.server_id: v for v in decided(what, spec_, record).verdicts}


def actions(
    what: Observation,
    spec_: DrainSpec | None = None,
    record: Record | None = None,
    deleting: bool = False,
) -> tuple[Action, ...]:
    return decided(what, spec_, record, deleting=deleting).actions


def report(
    what: Observation,
    spec_: DrainSpec | None = None,
    record: Record | None = None,
    deleting: bool = False,
    previous: Mapping[str, Any] | None = None,
    generation: int = 1,
) -> Report:
    """With `previous`, the record is what that status remembers, as in a real tick."""
    before = DrainStatus.read(previous or {})
    if record is None and previous is not None:
        record = before.record
    record = announced(what) if record is None else record
    mine = drain(spec_, record, deleting)
    decision = decide(mine, what, Limits(), before.plan)
    return Report(mine, what, decision, before, generation)


def status_of(what: Observation, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """As JSON, which is what people and the next tick read."""
    return status(report(what, *args, **kwargs)).to_json()


def condition(status_: Mapping[str, Any], type_: str) -> Mapping[str, Any] | None:
    return next((c for c in status_["conditions"] if c["type"] == type_), None)


def said(what: Any) -> str:
    """A verdict in one word or two."""
    match what:
        case Move(method=method):
            return method
        case Wait(reason=reason):
            return f"wait {reason}"
        case Blocked(reason=reason):
            return f"blocked {reason}"
        case Follow(stage=stage):
            return f"follow {stage}"
        case _:
            return type(what).__name__.lower()


def told(found: Verdict) -> str:
    """All that a person reads of it: the message and its ways out."""
    assert isinstance(found, Blocked | Held)
    return " | ".join([found.message, *found.remedies])


def at(what: Observation, seconds_later: float) -> Observation:
    """The same, later."""
    return dataclasses.replace(what, now=what.now + timedelta(seconds=seconds_later))
