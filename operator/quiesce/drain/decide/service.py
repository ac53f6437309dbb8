"""The host's own nova-compute service: disabled, deleted at the end, and restored as it was
found.
"""

from dataclasses import replace
from datetime import timedelta

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import AfterDrain, WhileRunning
from quiesce.api.text import count, some
from quiesce.drain.decide.allocations import left_after_delete
from quiesce.drain.model.actions import (
    AddToAggregate,
    DeleteService,
    DisableService,
    EnableService,
    HostAction,
    StartCompute,
    StopCompute,
    describe,
)
from quiesce.drain.model.backoff import back_off
from quiesce.drain.model.decision import Decision, Proof
from quiesce.drain.model.drain import Drain
from quiesce.drain.model.history import HostFailure
from quiesce.drain.model.identity import is_novas_own
from quiesce.drain.model.observation import Observation

STOP_AGAIN = timedelta(minutes=2)
START_TRIES = 4
REGISTERS_WITHIN = timedelta(minutes=2)  # a started nova-compute shows up in Nova by then


# Disabled


def disable(drain: Drain, observation: Observation) -> tuple[HostAction, ...]:
    """Disable it where it is not, and where the reason is not yet ours.

    Only a disable found at the start is overwritten (it is saved before any action is carried out);
    one that another user sets later stays as it is: the host is disabled, and theirs is the last
    word.
    """
    service, record = observation.service, drain.record
    if service is None or service.status == "UNKNOWN":
        return ()
    wanted = drain.identity.reason(drain.spec.reason)
    if service.status != "disabled":
        return (DisableService(service.id, wanted),)
    if service.disabled_reason == wanted and drain.begun:
        return ()
    ours = drain.identity.owns(service.disabled_reason)
    if not drain.begun or ours or _is_as_found(record, service.disabled_reason):
        return (DisableService(service.id, wanted),)
    return ()


def _is_as_found(record: Record, disabled_reason: str | None) -> bool:
    same = (record.found_reason or None) == (disabled_reason or None)
    return record.found_status == "disabled" and same


# Deleted


def end_service(drain: Drain, observation: Observation, proof: Proof) -> tuple[HostAction, ...]:
    """Once the host is proven empty: stop nova-compute where the spec says so, and delete the
    service when nova-compute is down.

    That a service is forced down says nothing about nova-compute: one that runs would register the
    host again, enabled.
    """
    service, spec = observation.service, drain.spec.service
    if spec.after_drain is not AfterDrain.DELETE or not proof.complete or service is None:
        return ()
    if observation.compute_is_down or spec.while_running is WhileRunning.DELETE:
        return (DeleteService(service.id),)
    if spec.while_running is WhileRunning.STOP:
        return _stop_compute(drain, observation)
    return ()


def _stop_compute(drain: Drain, observation: Observation) -> tuple[HostAction, ...]:
    """Nova takes some time to see it down; meanwhile it is not stopped again."""
    history = observation.history
    if drain.record.found_unit is None and observation.unit is None:
        return ()
    if history.stopped_at is not None and observation.now - history.stopped_at < STOP_AGAIN:
        return ()
    return (StopCompute(),) if _rested(history.host_failure, observation) else ()


def leftovers(drain: Drain, observation: Observation) -> tuple[str, ...]:
    """What a deleted service left in OpenStack, although Nova answered 204."""
    if observation.service is not None or observation.proof is None or not drain.begun:
        return ()
    return left_after_delete(observation.proof, drain.record.node or drain.host)


# Restored


def restore(drain: Drain, observation: Observation) -> tuple[HostAction, ...]:
    """What is still to be done until the service is as it was found; empty: it is, or it is no
    longer ours to restore.
    """
    service, record = observation.service, drain.record
    if service is None:
        return ()
    registered_again = service.id != record.found_id
    aggregates = rejoin(record, observation) if registered_again else ()
    found = DisableService(service.id, record.found_reason or None)
    disabled = record.found_status == "disabled" and not found_disabled_by_nova(record)
    if registered_again and service.status == "enabled" and disabled:
        return (*aggregates, found)  # Nova registers it enabled
    if service.status != "disabled" or not drain.identity.owns(service.disabled_reason):
        return aggregates
    return (*aggregates, found if disabled else EnableService(service.id))


def found_disabled_by_nova(record: Record) -> bool:
    """Such a disable is not put back: Nova lifts it only at the moment when the hypervisor returns,
    which may have passed. It disables the service again, within a minute, where the cause still
    stands.
    """
    return record.found_status == "disabled" and is_novas_own(record.found_reason)


def differs_from_found(drain: Drain, observation: Observation) -> str:
    """How the host is not as it was found although nothing is left to do; empty: it is, or
    `left_stopped` tells of it.
    """
    service, record = observation.service, drain.record
    if service is None:
        return "" if _found_running(record) else _stays_deleted(record, drain.host)
    if service.status == "enabled" and found_disabled_by_nova(record):
        return (
            f"its service was found disabled by Nova itself ({record.found_reason}) and is enabled "
            "now; if the cause still stands, Nova disables it again"
        )
    theirs = service.status == "disabled" and not drain.identity.owns(service.disabled_reason)
    if theirs and record.found_status == "enabled":
        return (
            "its service stays disabled, as another user has set it "
            f"({service.disabled_reason or 'without a reason'})"
        )
    return ""


def _stays_deleted(record: Record, host: str) -> str:
    """Nothing is left in Nova that could be restored."""
    text = "its service stays deleted: nova-compute registers it again, enabled, when it starts"
    if record.found_status == "disabled":
        text += f"; it was found disabled ({record.found_reason or 'without a reason'})"
    if record.found_aggregates:
        names = some(a.name or str(a.id) for a in record.found_aggregates)
        text += (
            f". Then put it back into its aggregates ({names}): "
            f"openstack aggregate add host AGGREGATE {host}"
        )
    return text


def rejoin(record: Record, observation: Observation) -> tuple[HostAction, ...]:
    """Aggregates that the host was in and that the deletion of its service took it out of (nova
    services.py delete).
    """
    mine = {aggregate.id for aggregate in record.found_aggregates}
    return tuple(
        AddToAggregate(a.id, observation.host)
        for a in observation.aggregates or ()
        if a.id in mine and observation.host not in a.hosts
    )


def start_compute(drain: Drain, observation: Observation) -> tuple[HostAction, ...] | None:
    """What is to be done until nova-compute that we stopped is again as found; None: nothing is
    left to do.

    One that was found stopped is kept from starting as well (Nova takes a while to see it down):
    that ends here. A host that cannot be reached is mostly one that is gone for good: after some
    tries it is left as it is.
    """
    record, history = drain.record, observation.history
    if record.found_unit is None:
        return None
    failure = start_failure(observation)
    if failure is not None and failure.count >= START_TRIES:
        return None
    if history.started_at is None:
        return (StartCompute(record.found_unit),) if _rested(failure, observation) else ()
    recently = observation.now - history.started_at < REGISTERS_WITHIN
    registers = _found_running(record) and observation.service is None and recently
    return () if registers else None


def start_failure(observation: Observation) -> HostFailure | None:
    """Why nova-compute could not be started again; that it could not be stopped before is no reason
    not to try.
    """
    failure = observation.history.host_failure
    return failure if failure and failure.starting else None


def left_stopped(drain: Drain, observation: Observation) -> str:
    """What to do about a nova-compute that we stopped and that is not seen to be as found; empty:
    nothing.
    """
    host, record, failure = drain.host, drain.record, start_failure(observation)
    running = _found_running(record)
    if failure is not None and record.found_unit is not None:
        verb = "start it" if running else "allow it to start"
        return (
            f"nova-compute on {host} was stopped by this drain, and "
            f"{count(failure.count, 'attempt')} to {verb} "
            f"again failed: {failure.whole.rstrip('.')}. {verb[0].upper()}{verb[1:]} by hand (it "
            f"was found {record.found_unit})"
        )
    if running and observation.service is None:
        return (
            f"nova-compute on {host} was stopped by this drain and started again, but does not "
            "register "
            f"in Nova: check its log on {host}"
        )
    return ""


def _found_running(record: Record) -> bool:
    return record.found_unit is not None and record.found_unit.startswith("running")


def _rested(failure: HostFailure | None, observation: Observation) -> bool:
    if failure is None:
        return True
    return observation.now >= failure.at + back_off(failure.count, observation.host)


# Calls for the host


def with_host_calls(
    decision: Decision, observation: Observation, wanted: tuple[HostAction, ...]
) -> Decision:
    """With these calls first, but for those that Nova refused lately: the same call is repeated
    with increasing delays.
    """
    refusals = observation.history.refusals
    refused = tuple(
        (action, refusal)
        for action in wanted
        if (refusal := refusals.get(describe(action))) is not None
    )
    resting = {
        action
        for action, refusal in refused
        if observation.now < refusal.at + back_off(refusal.count, observation.host)
    }
    due = tuple(action for action in wanted if action not in resting)
    return replace(decision, actions=due + decision.actions, refused=refused)
