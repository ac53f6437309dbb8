"""Processes of the cloud: work that takes time, and that dies with its process.

Work is a generator that yields the seconds it takes before it goes on, or HANG.
What a process was asked to do while it was away stays in its queue, as RabbitMQ keeps
casts for a nova-compute that is down.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from tests.beds.sim.clock import Clock
from tests.beds.sim.errors import WorkError

HANG = float("inf")
RPC_TIMEOUT = 60.0  # [DEFAULT]rpc_response_timeout
GLANCE = 0.25  # seconds between two looks at whether a process is back

Work = Generator[float, None, Any]


class Process:
    """A conductor or a nova-compute.

    Attributes:
        life: how often it was started; work that remembers an older one is talking to the dead.
    """

    def __init__(self, name: str, clock: Clock, latency: Callable[[float], float]) -> None:
        self.name = name
        self.clock = clock
        self.latency = latency
        self.running = True
        self.life = 1
        self._queue: list[Callable[[], Work]] = []
        self._at_work: dict[int, Work] = {}
        self._started = 0
        self._graveyard: list[Work] = []

    def cast(self, work: Callable[[], Work], after: float = 0.0) -> None:
        """Ask for work without waiting for it; a process that is away finds it when it returns."""
        self.clock.call_later(self.latency(after), lambda: self._receive(work))

    def _receive(self, work: Callable[[], Work]) -> None:
        if self.running:
            self.begin(work())
        else:
            self._queue.append(work)

    def begin(self, work: Work) -> None:
        self._started += 1
        self._at_work[self._started] = work
        self._resume(self._started)

    def _resume(self, number: int) -> None:
        work = self._at_work.get(number)
        if work is None:
            return
        try:
            delay = next(work)
        except StopIteration:
            del self._at_work[number]
        except WorkError:
            # As in Nova: a failure that the work itself did not handle ends in the log.
            del self._at_work[number]
        else:
            if delay != HANG:
                self.clock.call_later(delay, lambda: self._resume(number))

    def kill(self) -> None:
        """End at once, as by SIGKILL: work in progress stops where it is, uncleaned."""
        self.running = False
        # Kept, for a generator that is collected runs its clean-up first.
        self._graveyard += self._at_work.values()
        self._at_work = {}

    def start(self) -> None:
        """Come back and take what waits in the queue."""
        self.running = True
        self.life += 1
        waiting, self._queue = self._queue, []
        for work in waiting:
            self.cast(work)

    def call(self, other: Process, work: Work) -> Work:
        """Run work in another process and wait for it; one that is away finds the call when it
        returns.

        Raises WorkError: what the work raised, or MessagingTimeout.
        """
        deadline = self.clock.now() + RPC_TIMEOUT
        while not other.running and self.clock.now() < deadline:
            yield GLANCE
        life = other.life
        while other.running and other.life == life:
            try:
                delay = next(work)
            except StopIteration as end:
                return end.value
            yield delay
        yield max(deadline - self.clock.now(), 0.0)
        raise WorkError("MessagingTimeout", "Timed out waiting for a reply to message ID")
