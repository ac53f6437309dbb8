"""PURE. The host's own service: whose disable it is, how it is disabled, and how it is given back."""

from dataclasses import dataclass

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec
from quiesce.drain.model.actions import AddToAggregate, DisableService, EnableService, HostAction
from quiesce.drain.model.observation import Observation

REASON_LENGTH = 255  # nova services.disabled_reason
NAME_LENGTH = 200  # of the drain in the reason: its uid comes after it and must fit


@dataclass(frozen=True, slots=True)
class DrainIdentity:
    """The drain itself: what names it in Nova."""

    namespace: str
    name: str
    uid: str
    deleting: bool = False


def mark(who: DrainIdentity) -> str:
    """What begins every reason of ours: names the drain for people, and its uid for us."""
    return f"quiesce: drain {f'{who.namespace}/{who.name}'[:NAME_LENGTH]} [{who.uid[:8]}]"


def reason(who: DrainIdentity, spec: DrainSpec) -> str:
    text = f"{mark(who)}: {spec.reason}" if spec.reason else mark(who)
    return text[:REASON_LENGTH]


def is_ours(who: DrainIdentity, disabled_reason: str | None) -> bool:
    return f"[{who.uid[:8]}]" in (disabled_reason or "") and (disabled_reason or "").startswith(
        "quiesce: drain "
    )


def disable(
    who: DrainIdentity, spec: DrainSpec, memory: Record, seen: Observation
) -> tuple[HostAction, ...]:
    """Disable it where it is not, and where the reason is not yet ours.

    Only a disable found at the start is overwritten (it is saved before any action is carried out); one that
    somebody sets later stays as it is: the host is disabled, and theirs is the last word.
    """
    service = seen.service
    if service is None or service.status == "UNKNOWN":
        return ()
    wanted = reason(who, spec)
    if service.status != "disabled":
        return (DisableService(service.id, wanted),)
    if service.disabled_reason == wanted and memory.begun:
        return ()
    if (
        not memory.begun
        or is_ours(who, service.disabled_reason)
        or is_as_found(memory, service.disabled_reason)
    ):
        return (DisableService(service.id, wanted),)
    return ()


def is_as_found(memory: Record, disabled_reason: str | None) -> bool:
    return memory.found_status == "disabled" and (memory.found_reason or None) == (
        disabled_reason or None
    )


def restore(who: DrainIdentity, memory: Record, seen: Observation) -> tuple[HostAction, ...]:
    """What is still to be done until the service is as it was found; empty: it is, or it is no longer ours to give back."""
    service = seen.service
    if service is None:
        return ()
    anew = service.id != memory.found_id
    aggregates = rejoin(memory, seen) if anew else ()
    if anew and service.status == "enabled" and memory.found_status == "disabled":
        return (
            *aggregates,
            DisableService(service.id, memory.found_reason or None),
        )  # Nova registers it enabled
    if service.status != "disabled" or not is_ours(who, service.disabled_reason):
        return aggregates
    if memory.found_status == "disabled":
        return (*aggregates, DisableService(service.id, memory.found_reason or None))
    return (*aggregates, EnableService(service.id))


def rejoin(memory: Record, seen: Observation) -> tuple[HostAction, ...]:
    """Aggregates that the host was in and that a delete of its service took it out of (nova services.py delete)."""
    return tuple(
        AddToAggregate(a.id, seen.host)
        for a in seen.aggregates or ()
        if a.id in memory.found_aggregates and seen.host not in a.hosts
    )
