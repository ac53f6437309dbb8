"""The pure rooms load no client: what decides can be read, tested and trusted without one."""

import subprocess
import sys

import pytest

CLIENTS = ("paramiko", "kopf", "kubernetes", "openstack", "keystoneauth1", "requests", "urllib3")
PURE = (
    "quiesce.api.drain.spec",
    "quiesce.api.drain.status",
    "quiesce.drain.decide",
    "quiesce.drain.model",
    "quiesce.drain.report",
    "quiesce.api.keyring.spec",
    "quiesce.api.keyring.status",
    "quiesce.compute",
    "quiesce.compute.scripts",
    "quiesce.keyring.decide",
    "quiesce.keyring.model",
    "quiesce.keyring.paths",
    "quiesce.keyring.report",
)


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_loads_no_client(room: str) -> None:
    program = f"import sys, {room}; print(*sorted(set({CLIENTS!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_a_room_that_loads_a_client_would_be_noticed() -> None:
    with pytest.raises(AssertionError):
        test_a_pure_room_loads_no_client("quiesce.keyring.act")
