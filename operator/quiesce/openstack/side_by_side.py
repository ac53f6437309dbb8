"""Calls of one reconciliation that do not depend on each other, side by side."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar, overload

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
T = TypeVar("T")

_AT_ONCE = 8


def side_by_side(calls: Iterable[Callable[[], T]], at_once: int = _AT_ONCE) -> list[T]:
    """What they return, in this order. The caller's budget, and the fields of its log lines, are
    theirs as well: threads inherit none.

    Raises what the first of them raises that fails, once all have ended.
    """
    todo = list(calls)
    if len(todo) < 2:
        return [call() for call in todo]
    *others, own = todo  # one is for this thread
    contexts = [copy_context() for _ in others]
    with ThreadPoolExecutor(max_workers=min(max(1, at_once - 1), len(others))) as pool:
        results = pool.map(lambda call, context: context.run(call), others, contexts)
        try:
            last = own()
        finally:
            found = list(results)
    return [*found, last]


@overload
def together(first: Callable[[], A], second: Callable[[], B], /) -> tuple[A, B]: ...
@overload
def together(
    first: Callable[[], A], second: Callable[[], B], third: Callable[[], C], /
) -> tuple[A, B, C]: ...
def together(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    """As `side_by_side`, for a few of different kinds."""
    return tuple(side_by_side(calls))
