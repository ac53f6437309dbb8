"""Decision -> calls, within a time budget. Each call is sent once; one without an answer is looked at, not repeated."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime

from quiesce.api.errors import Problem
from quiesce.compute.unit import UnitState
from quiesce.drain.host_access import HostCompute
from quiesce.drain.model.actions import (
    AbortLive,
    Action,
    AddToAggregate,
    ConfirmMove,
    DeleteService,
    DisableService,
    EnableService,
    ForceCompleteLive,
    HostAction,
    OffloadServer,
    ResumeServer,
    RevertMove,
    ServerAction,
    StartCompute,
    StartMove,
    StopCompute,
    words,
)
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import Refused, Unknown
from quiesce.ops import metrics
from quiesce.ssh.errors import SSHError

log = logging.getLogger(__name__)

BUDGET = 20.0  # seconds: what has not begun by then is left to the next tick
SIDE_BY_SIDE = 4  # calls for servers in flight at once


@dataclass(frozen=True, slots=True)
class ActionContext:
    """All that the acting needs beside the actions themselves."""

    cloud: Cloud
    seen: Observation
    notes: History
    drain: str  # namespace/name, for the log
    now: Callable[[], datetime]
    compute: HostCompute | None = None


def act(actions: Sequence[Action], acting: ActionContext) -> None:
    """Carry out what was decided. Raises the first NotAllowed or BadCredentials, after all others were tried."""
    deadline = time.monotonic() + BUDGET
    failed: list[Problem] = []

    def one(action: Action) -> None:
        if time.monotonic() > deadline:
            acting.notes.forget_list()
            return
        try:
            if isinstance(action, HostAction):
                for_host(action, acting)
            else:
                for_server(action, acting)
        except Problem as error:
            acting.notes.forget_list()
            failed.append(error)

    for action in (a for a in actions if isinstance(a, HostAction)):
        one(action)
    rest = [a for a in actions if not isinstance(a, HostAction)]
    contexts = [
        copy_context() for _ in rest
    ]  # the fields of every log line: threads do not inherit them
    with ThreadPoolExecutor(max_workers=SIDE_BY_SIDE) as pool:
        list(pool.map(lambda action, fields: fields.run(one, action), rest, contexts))
    if failed:
        raise failed[0]


def for_server(action: ServerAction, acting: ActionContext) -> None:
    call, send = verb(action, acting)
    extra = {"drain": acting.drain, "server": action.server_id}
    if isinstance(action, RevertMove) and not source_is_up(acting):
        log.warning("not reverting: nova-compute of this host is down", extra=extra)
        return
    now = acting.now()
    if isinstance(action, AbortLive | ForceCompleteLive):
        acting.notes.told_to_end[action.migration_id] = now
    try:
        request_id = send()
    except Refused as refused:
        acting.notes.refuse(action.server_id, call, refused.status, refused.message, now)
        log.warning(
            "%s refused: %s",
            call,
            refused.message,
            extra=extra | {"request_id": refused.request_id},
        )
    except Unknown as error:
        acting.notes.unanswered(action.server_id, acting.now())
        log.warning(
            "%s without an answer, looking before anything is repeated: %s",
            call,
            error,
            extra=extra,
        )
    else:
        acting.notes.refusals.pop(action.server_id, None)
        if isinstance(action, StartMove | OffloadServer):
            metrics.move_started(action.how if isinstance(action, StartMove) else "offload")
        log.info("%s%s", call, detail(action), extra=extra | {"request_id": request_id})


def verb(action: ServerAction, acting: ActionContext) -> tuple[str, Callable[[], str | None]]:
    """The name of the call in Nova's API, and the call itself."""
    cloud, server_id = acting.cloud, action.server_id
    match action:
        case StartMove(how="live", target=target):
            return "os-migrateLive", lambda: cloud.live_migrate(server_id, target)
        case StartMove(target=target):
            return "migrate", lambda: cloud.migrate(server_id, target)
        case OffloadServer():
            return "shelveOffload", lambda: cloud.shelve_offload(server_id)
        case ResumeServer():
            return "resume", lambda: cloud.resume(server_id)
        case ConfirmMove():
            return "confirmResize", lambda: cloud.confirm(server_id)
        case RevertMove():
            return "revertResize", lambda: cloud.revert(server_id)
        case AbortLive(migration_id=migration_id):
            return "abort", lambda: cloud.abort_live(server_id, migration_id)
        case ForceCompleteLive(migration_id=migration_id):
            return "force_complete", lambda: cloud.force_complete(server_id, migration_id)


def detail(action: ServerAction) -> str:
    match action:
        case StartMove(target=str(target)):
            return f" to {target}"
        case RevertMove(why=why):
            return f": {why}"
        case _:
            return ""


def source_is_up(acting: ActionContext) -> bool:
    """Read just before a revert: Nova does not check it, and a revert to a dead source loses the guest (compute/api.py)."""
    return any(
        s.host == acting.seen.host and s.state == "up" for s in acting.cloud.services(fresh=True)
    )


def on_host(action: StopCompute | StartCompute, acting: ActionContext) -> None:
    """Over SSH. What keeps it from working is remembered for the status, and tried again with back-off."""
    notes, extra = acting.notes, {"drain": acting.drain, "host": acting.seen.host}
    starting = isinstance(action, StartCompute)
    if acting.compute is None:
        text = "the spec names no way into the host: set keyringRef or hostAccess"
        notes.fail_on_host("NoAccess", text, acting.now(), person=True, starting=starting)
        return
    try:
        if isinstance(action, StopCompute):
            acting.compute.stop()
            notes.stopped_at = acting.now()
        else:
            acting.compute.restore(UnitState.read(action.found))
            notes.started_again = acting.now()
    except SSHError as error:
        notes.fail_on_host(
            error.reason, str(error), acting.now(), person=error.person, starting=starting
        )
        log.warning("%s: %s", words(action), error, extra=extra)
    else:
        notes.host_trouble = None
        log.info("%s", words(action), extra=extra)


def for_host(action: HostAction, acting: ActionContext) -> None:
    if isinstance(action, StopCompute | StartCompute):
        on_host(action, acting)
        return
    extra = {"drain": acting.drain, "host": acting.seen.host}
    if isinstance(action, DisableService | EnableService | DeleteService) and changed_since(acting):
        log.info("the service has changed since it was read; looking again", extra=extra)
        return
    said = words(action)
    try:
        request_id = send_for_host(action, acting.cloud)
    except Refused as refused:
        if refused.status == 404 and isinstance(action, DeleteService):
            return
        acting.notes.refuse(said, said, refused.status, refused.message, acting.now())
        if isinstance(action, DeleteService):
            acting.notes.clean_since = None
        log.warning(
            "%s refused: %s",
            said,
            refused.message,
            extra=extra | {"request_id": refused.request_id},
        )
    except Unknown as error:
        log.warning("%s without an answer, looking again: %s", said, error, extra=extra)
    else:
        acting.notes.refusals.pop(said, None)
        log.info("%s", said, extra=extra | {"request_id": request_id})


def changed_since(acting: ActionContext) -> bool:
    """Nova has no compare-and-set for services, so the row is read again just before the write."""
    now = next((s for s in acting.cloud.services(fresh=True) if s.host == acting.seen.host), None)
    return now != acting.seen.service


def send_for_host(
    action: DisableService | EnableService | DeleteService | AddToAggregate, cloud: Cloud
) -> str | None:
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
