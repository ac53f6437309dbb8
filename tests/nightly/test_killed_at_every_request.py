"""The operator is killed at every request boundary on the real Nova; each server is moved once.

Twelve servers. A boundary is the moment before a request leaves, or after it took effect, told
apart by the calls that took effect before it: polls that repeat between the same two calls are one.
A kill after the last read of a tick is before the status is written. What the operator reads when
it starts again is a boundary like any other. At each there is a kill when it is met for the first
time, until a whole drain has met none that is new.
"""

import threading
from dataclasses import dataclass, field

import pytest
from tests.harness.kubernetes import Operator
from tests.harness.proxy import TOKENS, Proxy
from tests.nightly.lanes import HOSTS, Lanes

ROUNDS = 10  # of a drain on each host


@dataclass
class Killer:
    """The `watch` of one drain's proxy.

    `done`: the boundaries at which an operator has died, of all drains.
    """

    operator: Operator
    done: set[tuple[int, str]]
    lock: threading.Lock
    calls: int = 0
    kills: int = 0
    own: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, moment: str) -> bool:
        with self.own:
            boundary = (self.calls, moment)
            if (
                moment.startswith("after ")
                and " GET " not in moment
                and not moment.endswith(TOKENS)
            ):
                self.calls += 1
            with self.lock:
                new = boundary not in self.done
                self.done.add(boundary)
            if new:
                self.operator.kill()
                self.operator.start()
                self.kills += 1
            return new


@pytest.mark.promise("never-1", "always-2")
@pytest.mark.timeout(0)
def test_a_kill_at_any_boundary_changes_nothing_about_the_end(
    lanes: Lanes, capsys: pytest.CaptureFixture[str]
) -> None:
    done: set[tuple[int, str]] = set()
    lock = threading.Lock()
    for number in range(1, ROUNDS + 1):
        killers: list[Killer] = []

        def prepare(proxy: Proxy, operator: Operator, killers: list[Killer] = killers) -> None:
            killers.append(Killer(operator, done, lock))
            proxy.watch = killers[-1]

        wrong = lanes.run(dict.fromkeys(HOSTS, prepare))
        assert not wrong, "\n".join(f"{host}: {text}" for host, text in wrong.items())
        kills = [killer.kills for killer in killers]
        with capsys.disabled():
            print(
                f"\nround {number}: drains with {kills} kills; {len(done)} boundaries so far",
                flush=True,
            )
        if 0 in kills:
            return
    raise AssertionError(
        f"after {ROUNDS} rounds drains still meet boundaries that are new: {sorted(done)}"
    )
