"""The pure rooms load no client: what decides can be read, tested and trusted without one. And the
operator's start loads nothing that only some drains need.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import quiesce

CLIENTS = (
    "cryptography",
    "keystoneauth1",
    "kopf",
    "kubernetes",
    "openstack",
    "paramiko",
    "requests",
    "urllib3",
)
LATE = (
    "bcrypt",
    "cryptography",
    "kubernetes.client.api.core_v1_api",
    "nacl",
    "openstack",
    "paramiko",
    "quiesce.plugin",
    "rich",
)
"""Not at the start: 55 MiB and half a second of processor time together."""
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


def loaded(room: str, of: tuple[str, ...]) -> list[str]:
    """Which of these modules a process has that imports `room`."""
    program = f"import sys, {room}; print(*sorted(set({of!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_loads_no_client(room: str) -> None:
    assert loaded(room, CLIENTS) == []


def test_a_room_that_loads_a_client_would_be_noticed() -> None:
    with pytest.raises(AssertionError):
        test_a_pure_room_loads_no_client("quiesce.openstack.session")


def test_the_start_loads_nothing_that_only_some_drains_need() -> None:
    assert loaded("quiesce.app", LATE) == []
    assert loaded("quiesce.ssh.wire, quiesce.ssh.private_keys", LATE) == [
        "bcrypt",
        "cryptography",
        "nacl",
        "paramiko",
    ]


def late_imports() -> Iterator[tuple[str, str]]:
    """(module, name in it or "") of each import inside a function of the operator."""
    for path in sorted(Path(quiesce.__path__[0]).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    yield from ((each.name, "") for each in node.names)
                elif isinstance(node, ast.ImportFrom):
                    yield from ((str(node.module), each.name) for each in node.names)


def test_what_is_loaded_late_is_there() -> None:
    """It would otherwise be missed for the first time by a drain, at night."""
    found = set(late_imports())
    assert {("paramiko", ""), ("quiesce.ssh.private_keys", "generate")} <= found
    for module, name in found:
        there = import_module(module)
        assert not name or hasattr(there, name) or import_module(f"{module}.{name}")
