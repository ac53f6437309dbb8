"""One call for one server, and what its answer means."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from quiesce.drain.model.actions import (
    AbortLive,
    ConfirmMove,
    ForceCompleteLive,
    OffloadServer,
    ResumeServer,
    RevertMove,
    ServerAction,
    StartMove,
)
from quiesce.drain.model.history import History
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import Forbidden, Refused, Unknown
from quiesce.ops import metrics

log = logging.getLogger(__name__)


def act_on_server(
    action: ServerAction,
    cloud: Cloud,
    host: str,
    now: Callable[[], datetime],
    fields: Mapping[str, Any],
) -> Callable[[History], History]:
    """Sends it, once. -> what it means for the history. Raises BadCredentials.

    `fields`: for the log line.

    A refusal is that server's, 403 included: whether the credentials lack a permission is decided
    from the refusals of several servers (decide.refusals).
    """
    call, send = _call_of(action, cloud)
    extra = {**fields, "server": action.server_id}
    name = extra.get("server_name", action.server_id)
    if isinstance(action, RevertMove) and not source_is_up(cloud, host):
        log.warning("not reverting %s: nova-compute of %s is down", name, host, extra=extra)
        return _unchanged
    at = now()
    try:
        request_id = _sent(send)
    except Refused as refused:
        extra |= {"request_id": refused.request_id or ""}
        log.warning("%s %s refused: %s", call, name, refused.message, extra=extra)
        advance = partial(_refused, action, call, refused, at)
    except Unknown as error:
        text = "%s %s not answered, reading before anything is repeated: %s"
        log.warning(text, call, name, error, extra=extra)
        advance = partial(_unanswered, action, at, now())
    else:
        if isinstance(action, StartMove | OffloadServer):
            method = action.method if isinstance(action, StartMove) else "offload"
            metrics.move_started(method)
        extra |= {"request_id": request_id or ""}
        log.info("%s %s%s", call, name, _detail(action), extra=extra)
        advance = partial(_accepted, action, at, request_id)
    return advance


def _sent(send: Callable[[], str | None]) -> str | None:
    try:
        return send()
    except Forbidden as forbidden:
        raise forbidden.refusal from forbidden


def source_is_up(cloud: Cloud, host: str) -> bool:
    """Read just before a revert: Nova does not check it, and a revert to a dead source loses the
    guest (compute/api.py).
    """
    service = cloud.service(host)
    return service is not None and service.state == "up"


def _call_of(action: ServerAction, cloud: Cloud) -> tuple[str, Callable[[], str | None]]:
    """The name of the call in Nova's API, and the call itself."""
    server_id = action.server_id
    match action:
        case StartMove(method="live", target=target):
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


def _detail(action: ServerAction) -> str:
    match action:
        case StartMove(target=str(target)):
            return f" to {target}"
        case RevertMove(why=why):
            return f": {why}"
        case _:
            return ""


def _unchanged(history: History) -> History:
    return history


def _told(action: ServerAction, at: datetime, history: History) -> History:
    if isinstance(action, AbortLive | ForceCompleteLive):
        return history.tell_to_end(action.migration_id, at)
    return history


def _accepted(
    action: ServerAction, at: datetime, request_id: str | None, history: History
) -> History:
    return _told(action, at, history).accept(action.server_id, request_id)


def _refused(
    action: ServerAction, call: str, refused: Refused, at: datetime, history: History
) -> History:
    told = _told(action, at, history)
    return told.refuse(action.server_id, call, refused.status, refused.message, at)


def _unanswered(
    action: ServerAction, at: datetime, answered: datetime, history: History
) -> History:
    return _told(action, at, history).miss_answer(action.server_id, answered)
