"""A host that sends without end, or hardly anything: memory stays flat, and the deadline holds."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.security.hostile_host import (
    AFTER_LOGIN,
    BEFORE_LOGIN,
    HOST_KEY,
    Raw,
    answers,
    listening,
    ssh_server,
)

DEADLINE = 3.0
MEMORY = 8 * 1024
"""KiB. A session takes 2 MiB at most, and is held a few times: as received, as read, as text."""
PINNED = f"{HOST_KEY.get_name()} {HOST_KEY.get_base64()}"


def visit(serve: Raw, deadline: float = DEADLINE) -> dict[str, Any]:
    with listening(serve) as port:
        argv = [sys.executable, "-m", "tests.security.visitor", str(port), str(deadline), PINNED]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.finding("H2", "S4")
@pytest.mark.parametrize("how", AFTER_LOGIN)
def test_after_the_login(how: str) -> None:
    found = visit(ssh_server(AFTER_LOGIN[how]))
    assert found["reason"] in ("SentTooMuch", "Timeout"), found
    assert found["grown"] < MEMORY, found
    assert found["seconds"] < 2 * DEADLINE, found


@pytest.mark.finding("H2")
@pytest.mark.parametrize("how", BEFORE_LOGIN)
def test_before_the_login(how: str) -> None:
    found = visit(BEFORE_LOGIN[how])
    assert found["reason"], found
    assert found["grown"] < MEMORY, found
    assert found["seconds"] < 2 * DEADLINE, found
    assert found["message"].isprintable()


@pytest.mark.finding("H2", "S4")
def test_both_streams_are_read_to_their_end() -> None:
    found = visit(ssh_server(answers(b"o" * 200_000, b"e" * 250_000)), deadline=60.0)
    assert (found["reason"], found["message"]) == ("", "0 200000 250000")
    found = visit(ssh_server(answers(b"o" * 300_000, b"e" * 300_000)), deadline=60.0)
    assert found["reason"] == "SentTooMuch"
