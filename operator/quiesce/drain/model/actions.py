"""The few calls that a drain makes to OpenStack and to the host, as values."""

from dataclasses import dataclass

from quiesce.drain.model.verdict import MoveMethod


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
    method: MoveMethod
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


ServiceAction = DisableService | EnableService | DeleteService | AddToAggregate
ComputeAction = StopCompute | StartCompute
HostAction = ServiceAction | ComputeAction
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


def describe(action: HostAction) -> str:
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
            return f"restore nova-compute on the host as it was found ({found})"
        case AddToAggregate(aggregate_id=aggregate_id):
            return f"add the host to aggregate {aggregate_id}"
