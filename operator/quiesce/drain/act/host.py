"""Calls for the host itself: its service in Nova, its aggregates, and nova-compute on it."""

import logging
from collections.abc import Callable
from datetime import datetime

from quiesce.api.text import with_remedy
from quiesce.compute.host import HostCompute
from quiesce.compute.model import UnitState
from quiesce.drain.model.actions import (
    AddToAggregate,
    ComputeAction,
    DeleteService,
    DisableService,
    EnableService,
    ServiceAction,
    StartCompute,
    StopCompute,
    describe,
)
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import Refused, Unknown
from quiesce.ssh.errors import SSHError

log = logging.getLogger(__name__)


def act_on_service(
    action: ServiceAction,
    cloud: Cloud,
    observation: Observation,
    now: Callable[[], datetime],
    drain: str,
) -> Callable[[History], History]:
    """Sends it, once, if the service is still as it was observed. -> what it means for the
    history.
    """
    extra, call = {"drain": drain, "host": observation.host}, describe(action)
    if not isinstance(action, AddToAggregate) and _changed_since(action, cloud, observation):
        log.info("the service has changed since it was read; reading it again", extra=extra)
        return _unchanged
    try:
        request_id = _send(action, cloud)
    except Refused as refused:
        if refused.status == 404 and isinstance(action, DeleteService):
            return _unchanged
        extra |= {"request_id": refused.request_id or ""}
        log.warning("%s refused: %s", call, refused.message, extra=extra)
        status, text, at = refused.status, refused.message, now()
        if isinstance(action, DeleteService):
            return lambda history: history.interrupt().refuse(call, call, status, text, at)
        return lambda history: history.refuse(call, call, status, text, at)
    except Unknown as error:
        log.warning("%s not answered, reading again: %s", call, error, extra=extra)
        told, at = str(error), now()
        return lambda history: history.miss_host_answer(call, told, at)
    extra |= {"request_id": request_id or ""}
    log.info("%s", call, extra=extra)
    return lambda history: history.accept(call)


def _changed_since(action: ServiceAction, cloud: Cloud, observation: Observation) -> bool:
    """Nova has no compare-and-set for services, so the row is read again just before the write.

    Nor is one deleted that is forced down and has reported meanwhile: its nova-compute runs.
    """
    before, now = observation.service, cloud.service(observation.host)
    if isinstance(action, DeleteService) and now and before and now.forced_down:
        return now != before or now.reported != before.reported
    return now != before


def _send(action: ServiceAction, cloud: Cloud) -> str | None:
    match action:
        case DisableService(service_id=service_id, reason=None):
            return cloud.disable_service_without_reason(service_id)
        case DisableService(service_id=service_id, reason=str(reason)):
            return cloud.disable_service(service_id, reason)
        case EnableService(service_id=service_id):
            return cloud.enable_service(service_id)
        case DeleteService(service_id=service_id):
            return cloud.delete_service(service_id)
        case AddToAggregate(aggregate_id=aggregate_id, host=host):
            return cloud.add_to_aggregate(aggregate_id, host)
    raise AssertionError(action)


def act_on_compute(
    action: ComputeAction,
    compute: HostCompute | None,
    host: str,
    now: Callable[[], datetime],
    drain: str,
) -> Callable[[History], History]:
    """Over SSH. What keeps it from working is remembered for the status, and tried again with
    back-off.
    """
    starting = isinstance(action, StartCompute)
    if compute is None:
        text = "the spec names no access to the host: set keyringRef or hostAccess"
        at = now()
        return lambda h: h.fail_on_host("NoAccess", text, at, person=True, starting=starting)
    extra, call = {"drain": drain, "host": host}, describe(action)
    try:
        if isinstance(action, StopCompute):
            compute.stop()
        else:
            compute.restore(UnitState.read(action.found))
    except SSHError as error:
        log.warning("%s: %s", call, with_remedy(str(error), error.remedies), extra=extra)
        failed, at = error, now()
        return lambda h: h.fail_on_host(
            failed.reason,
            str(failed),
            at,
            person=failed.person,
            starting=starting,
            remedies=failed.remedies,
        )
    log.info("%s", call, extra=extra)
    at = now()
    return lambda h: h.start_compute(at) if starting else h.stop_compute(at)


def _unchanged(history: History) -> History:
    return history
