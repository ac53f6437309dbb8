"""What the reconciliation that goes on in this thread may take of what all share.

The controller opens a turn; `joins` is called as soon as the cloud of the resource is known.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from quiesce.openstack.budget import budget

SECONDS = 180.0
"""Of requests to OpenStack in one reconciliation: whole lists of a large cloud take a minute."""


class Postponed(Exception):
    """Others of the same cloud hold its share of the workers. Nothing has been done."""


_join: ContextVar[Callable[[str], bool] | None] = ContextVar("join", default=None)


@contextmanager
def turn(join: Callable[[str], bool]) -> Iterator[None]:
    """`join`: takes host:port of a Keystone; whether its share allows one more."""
    token = _join.set(join)
    try:
        with budget(SECONDS):
            yield
    finally:
        _join.reset(token)


def joins(keystone: str) -> None:
    """This reconciliation uses that cloud. Raises Postponed."""
    join = _join.get()
    if join is not None and not join(keystone):
        raise Postponed(keystone)
