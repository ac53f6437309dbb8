"""Two hosts and more change from one key to the next: no order of events makes a login fail."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.keyring.build import NEW, OLD, Disk, desired

from quiesce.keyring.decide import changes
from quiesce.keyring.decide.rotation import GRACE_SECONDS, rotation
from quiesce.keyring.model import DesiredState, HostObservation, RotationStep

HOSTS = ("cmp1", "cmp2", "cmp3")
LONG = GRACE_SECONDS + 1


class Cloud:
    """Three installed hosts, and an operator that knows of each only what its last visit saw."""

    def __init__(self) -> None:
        self.disks = {name: Disk() for name in HOSTS}
        self.seen: dict[str, HostObservation | None] = dict.fromkeys(HOSTS)
        self.wanted = desired(OLD)
        for name in HOSTS:
            self.visit(name, steps=99)
        self.wanted = desired(NEW, OLD.public)

    def standing(self) -> DesiredState:
        step = rotation(self.wanted, self.seen, LONG)
        if step.retired:
            self.wanted = desired(NEW)
        return replace(self.wanted, may_switch=step.may_switch)

    def visit(self, name: str, steps: int) -> None:
        """Broken off after so many changes: then nothing of it is known."""
        todo = changes(self.standing(), self.disks[name].seen)
        for change in todo[:steps]:
            self.disks[name].do(change)
            self.check()
        if steps >= len(todo):
            self.seen[name] = self.disks[name].seen

    def restart(self) -> None:
        self.seen = dict.fromkeys(HOSTS)

    def check(self) -> None:
        """Each host that uses a key is let in by every other one that is installed."""
        for source in self.disks.values():
            for target in self.disks.values():
                if source.seen.uses and target.seen.authorized_lines and source is not target:
                    assert source.seen.uses in target.seen.accepts


events = st.one_of(
    st.tuples(st.sampled_from(HOSTS), st.integers(0, 8)),
    st.just(("restart", 0)),
    st.tuples(st.sampled_from(HOSTS), st.just(99)),
)


@pytest.mark.finding("S8")
@settings(max_examples=200, deadline=None)
@given(st.lists(events, max_size=40))
def test_no_order_of_visits_kills_and_restarts_makes_a_login_fail(
    history: list[tuple[str, int]],
) -> None:
    cloud = Cloud()
    for name, steps in history:
        if name == "restart":
            cloud.restart()
        else:
            cloud.visit(name, steps)
        cloud.check()
    for _ in range(4):
        for name in HOSTS:
            cloud.visit(name, steps=99)
    assert {disk.seen.uses for disk in cloud.disks.values()} == {NEW.public.id}
    assert {disk.seen.accepts for disk in cloud.disks.values()} == {frozenset({NEW.public.id})}
    assert all(len(disk.seen.own_files) == 3 for disk in cloud.disks.values())


def test_the_steps_and_whom_they_wait_for() -> None:
    cloud = Cloud()
    assert rotation(cloud.wanted, cloud.seen, LONG).step is RotationStep.ACCEPT
    assert rotation(cloud.wanted, cloud.seen, LONG).waits_for == HOSTS
    cloud.visit("cmp1", 99)
    cloud.visit("cmp2", 99)
    assert rotation(cloud.wanted, cloud.seen, LONG).waits_for == ("cmp3",)
    cloud.visit("cmp3", 99)
    assert rotation(cloud.wanted, cloud.seen, LONG).step is RotationStep.USE
    for name in HOSTS:
        cloud.visit(name, 99)
    assert rotation(cloud.wanted, cloud.seen, GRACE_SECONDS - 1).step is RotationStep.RETIRE
    assert not rotation(cloud.wanted, cloud.seen, GRACE_SECONDS - 1).retired
    assert rotation(cloud.wanted, cloud.seen, LONG).retired


def test_a_host_that_was_not_seen_holds_every_step_up() -> None:
    cloud = Cloud()
    for name in ("cmp1", "cmp2", "cmp3"):
        cloud.visit(name, 99)
    cloud.seen["cmp2"] = None
    assert rotation(cloud.wanted, cloud.seen, LONG).waits_for == ("cmp2",)


def test_without_keys_before_nothing_is_rotated() -> None:
    assert rotation(desired(OLD), dict.fromkeys(HOSTS), LONG).step is RotationStep.STABLE
