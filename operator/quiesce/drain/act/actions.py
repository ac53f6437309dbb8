"""Decision -> calls, within a time budget. Each call is sent once; one without an answer is never
repeated blindly.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial, reduce
from typing import Any

from quiesce.api.errors import Problem
from quiesce.compute.host import HostCompute
from quiesce.drain.act.host import act_on_compute, act_on_service
from quiesce.drain.act.servers import act_on_server
from quiesce.drain.model.actions import Action, ComputeAction, ServerAction, ServiceAction
from quiesce.drain.model.history import History
from quiesce.drain.model.observation import Observation
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.side_by_side import side_by_side

log = logging.getLogger(__name__)

Advance = Callable[[History], History]
"""What a call means for the history."""

BUDGET = 20.0  # seconds: what has not begun by then is left to the next tick
_SIDE_BY_SIDE = 4  # calls for servers in flight at once


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What the calls need besides the actions themselves. `compute` None: the spec names no access
    to the host. `fields`: by server ID, for the log line of a call for it.
    """

    cloud: Cloud
    observation: Observation
    drain: str  # namespace/name, for the log
    now: Callable[[], datetime]
    compute: HostCompute | None = None
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acted:
    """`advances`: what the calls mean for the history. `problem`: the first NotAllowed or
    BadCredentials among them.
    """

    advances: tuple[Advance, ...] = ()
    problem: Problem | None = None

    def advance(self, history: History) -> History:
        return reduce(lambda so_far, advance: advance(so_far), self.advances, history)


def act(actions: Sequence[Action], context: ActionContext) -> Acted:
    """Carries out what was decided: calls for the host one after the other, then those for servers
    side by side.
    """
    deadline = time.monotonic() + BUDGET
    problems: list[Problem] = []

    def one(action: Action) -> Advance:
        if time.monotonic() > deadline:
            return History.void_list
        try:
            return _carry_out(action, context)
        except Problem as problem:
            problems.append(problem)
            return History.void_list

    advances = [one(a) for a in actions if not isinstance(a, ServerAction)]
    rest = [a for a in actions if isinstance(a, ServerAction)]
    advances += side_by_side((partial(one, action) for action in rest), _SIDE_BY_SIDE)
    return Acted(tuple(advances), problems[0] if problems else None)


def _carry_out(action: Action, context: ActionContext) -> Advance:
    if isinstance(action, ServerAction):
        fields = {"drain": context.drain, **context.fields.get(action.server_id, {})}
        return act_on_server(action, context.cloud, context.observation.host, context.now, fields)
    if isinstance(action, ServiceAction):
        return act_on_service(
            action, context.cloud, context.observation, context.now, context.drain
        )
    assert isinstance(action, ComputeAction)  # noqa: S101 -- the only kind that is left
    return act_on_compute(
        action, context.compute, context.observation.host, context.now, context.drain
    )
