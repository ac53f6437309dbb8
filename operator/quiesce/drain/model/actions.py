"""PURE. The few things a drain does to OpenStack, as values, and which verdict calls for which."""

from dataclasses import dataclass

from quiesce.api.drain.spec import DrainSpec
from quiesce.drain.model.verdict import (
    Abort,
    Confirm,
    ForceComplete,
    How,
    Move,
    Offload,
    Resume,
    Revert,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class DisableService:
    """Disable the host's nova-compute. `reason` None: without one."""

    service_id: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class EnableService:
    service_id: str


@dataclass(frozen=True, slots=True)
class DeleteService:
    service_id: str


@dataclass(frozen=True, slots=True)
class StopCompute:
    """Stop nova-compute on the host itself, and keep it from starting."""


@dataclass(frozen=True, slots=True)
class StartCompute:
    """Have nova-compute on the host start and run as it was `found` before it was stopped."""

    found: str


@dataclass(frozen=True, slots=True)
class AddToAggregate:
    aggregate_id: int
    host: str


@dataclass(frozen=True, slots=True)
class StartMove:
    server_id: str
    how: How
    target: str | None


@dataclass(frozen=True, slots=True)
class OffloadServer:
    server_id: str


@dataclass(frozen=True, slots=True)
class ResumeServer:
    server_id: str


@dataclass(frozen=True, slots=True)
class ConfirmMove:
    server_id: str
    migration_id: int


@dataclass(frozen=True, slots=True)
class RevertMove:
    server_id: str
    migration_id: int
    why: str


@dataclass(frozen=True, slots=True)
class AbortLive:
    server_id: str
    migration_id: int


@dataclass(frozen=True, slots=True)
class ForceCompleteLive:
    server_id: str
    migration_id: int


HostAction = (
    DisableService | EnableService | DeleteService | AddToAggregate | StopCompute | StartCompute
)
ServerAction = (
    StartMove
    | OffloadServer
    | ResumeServer
    | ConfirmMove
    | RevertMove
    | AbortLive
    | ForceCompleteLive
)
Action = HostAction | ServerAction


def words(action: HostAction) -> str:
    """For people; the same call has the same words."""
    match action:
        case DisableService(reason=reason):
            return f"disable the service ({reason or 'no reason'})"
        case EnableService():
            return "enable the service"
        case DeleteService():
            return "delete the service"
        case StopCompute():
            return "stop nova-compute on the host"
        case StartCompute(found=found):
            return f"have nova-compute on the host as it was ({found})"
        case AddToAggregate(aggregate_id=aggregate_id):
            return f"add the host to aggregate {aggregate_id}"


def for_verdict(
    server_id: str, verdict: Verdict, spec: DrainSpec | None
) -> tuple[ServerAction, ...]:
    """`spec` is needed for a Move only (its target host)."""
    match verdict:
        case Move(how=how):
            return (StartMove(server_id, how, spec.migration.target_host if spec else None),)
        case Offload():
            return (OffloadServer(server_id),)
        case Resume():
            return (ResumeServer(server_id),)
        case Confirm(migration=m):
            return (ConfirmMove(server_id, m.id),)
        case Revert(migration=m, why=why):
            return (RevertMove(server_id, m.id, why),)
        case Abort(migration=m):
            return (AbortLive(server_id, m.id),)
        case ForceComplete(migration=m):
            return (ForceCompleteLive(server_id, m.id),)
        case _:
            return ()
