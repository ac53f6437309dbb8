"""A host that answers over SSH with something else than our scripts print: a plain problem of that
host, whatever it says, and soon.
"""

import base64
import time
from collections.abc import Callable
from dataclasses import replace

import paramiko
import pytest

from quiesce.api.host import Supervisor
from quiesce.compute import StopFailed, Unit, control
from quiesce.keyring.act import VisitOrder, visit
from quiesce.keyring.decide import installation_obstacle
from quiesce.keyring.model import Account, PathTarget, VisitResult
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.login import Login
from quiesce.ssh.session import Session, Target, connect
from tests.security.hostile_host import (
    HOST_KEY,
    LIES,
    SECRET,
    Command,
    answers,
    listening,
    ssh_server,
)
from tests.unit.keyring.build import LAYOUT, UNTOUCHED, desired

LOGIN = Login("root", paramiko.ECDSAKey.generate())
PINNED = (PublicKey(HOST_KEY.get_name(), HOST_KEY.get_base64()),)
ROOT = (
    b"quiesce uid 0\nquiesce account 64060:64060:/var/lib/nova:/bin/bash\n"
    b"quiesce shell_usable yes\nquiesce home directory|nova|755\n"
)
QUADRATIC = b"x-" * 12_000 + b"\n"
"""What an earlier pattern for secrets took minutes for."""
SECONDS = 30.0


def visited(output: bytes, errors: bytes = b"", code: int = 0) -> VisitResult:
    return visited_by(answers(output, errors, code))


def visited_by(command: Command) -> VisitResult:
    with listening(ssh_server(command)) as port:
        order = VisitOrder(
            target=Target("cmp1", "127.0.0.1", port),
            login=LOGIN,
            layout=LAYOUT,
            desired=desired(),
            pinned=PINNED,
            targets=(PathTarget("cmp2", "192.0.2.2", "cmp2"),),
        )
        return visit(order, SECONDS)


ANSWERS: dict[str, bytes] = {
    "nothing": b"",
    "no text": bytes(range(128, 256)) * 40,
    "no end": ROOT,
    "an id that is none": b"quiesce account x:1:/:/\nquiesce end\n",
    "an id of 5000 digits": b"quiesce account " + b"9" * 5000 + b":1:/:/\nquiesce end\n",
    "a digit that is none": "quiesce account ²:1:/:/\nquiesce end\n".encode(),
    "fields that are missing": b"quiesce home directory\nquiesce end\n",
    "a mode that is none": b"quiesce home directory|nova|999\nquiesce end\n",
    "a compute that is none": b"quiesce compute 1\nquiesce end\n",
    "an account's word that is none": ROOT + b"quiesce account_report ===\nquiesce end\n",
    "terminal escapes": b"quiesce home \x1b[2J\x1b]0;owned\x07|nova|x\nquiesce end\n",
    "an end in the middle": b"quiesce end\nquiesce uid 0\n",
    "another change failed": ROOT + b"quiesce failed 9999 x\nquiesce end\n",
    "a change that has no number": ROOT + b"quiesce failed x y\nquiesce end\n",
}


@pytest.mark.finding("L2", "L4")
@pytest.mark.parametrize("what", ANSWERS)
@pytest.mark.parametrize("errors", [b"", b"\x1b[31mpassword=hunter2\xff\xfe\xe2\x80\xae end"])
def test_a_wrong_report_is_a_plain_problem(what: str, errors: bytes) -> None:
    found = visited(ANSWERS[what], errors)
    assert found.failure is not None
    assert found.failure.reason != "InternalError"
    assert found.failure.message.isprintable()
    assert len(found.failure.message) < 512
    assert "hunter2" not in found.failure.message
    assert all(each.isprintable() for each in found.failure.remedies)


@pytest.mark.finding("L2", "L4")
@pytest.mark.parametrize("what", LIES)
def test_what_the_neighbours_say_is_a_plain_problem(what: str) -> None:
    """See tests/e2e/test_hostile_neighbours.py: there the whole operator hears it."""
    found = visited_by(LIES[what])
    assert found.failure is not None
    assert found.failure.message.isprintable()
    assert SECRET not in found.failure.message


@pytest.mark.finding("H3")
@pytest.mark.parametrize(
    "output",
    [
        ROOT + b"quiesce failed 0 " + QUADRATIC + b"quiesce end\n",
        b"quiesce account 1:1:/" + QUADRATIC + b":/bin/sh\nquiesce end\n",
        b"quiesce compute container|1|" + QUADRATIC,
        QUADRATIC,
    ],
)
def test_a_long_text_takes_no_time(output: bytes) -> None:
    """In this thread, so that it would stand still with the whole process."""
    plain = _processor(lambda: visited(b"short\n"))
    assert _processor(lambda: visited(output, QUADRATIC)) < plain + 1.0


def _processor(act: Callable[[], object]) -> float:
    start = time.process_time()
    act()
    return time.process_time() - start


@pytest.mark.finding("M4")
@pytest.mark.parametrize(("uid", "refused"), [(0, True), (1000, True), (999, False), (162, False)])
def test_an_account_that_is_none_of_the_system_gets_no_key(uid: int, refused: bool) -> None:
    found = visited(ROOT.replace(b"64060:64060", f"{uid}:{uid}".encode()) + b"quiesce end\n")
    assert found.failure is not None
    assert (found.failure.reason == "NotSystemAccount") is refused
    assert not refused or found.changed == ()


@pytest.mark.finding("M4")
@pytest.mark.parametrize(
    ("uid", "user_id", "limit", "refused"),
    [
        (0, None, 999, True),
        (0, 0, 999, True),
        (1000, None, 999, True),
        (1000, 1000, 999, False),
        (1000, 1001, 999, True),
        (999, 1000, 999, True),
        (42436, None, 999, True),
        (42436, 42436, 999, False),
        (500, None, 499, True),
        (64060, None, 999, False),
    ],
)
def test_which_accounts_are_of_the_system(
    uid: int, user_id: int | None, limit: int, refused: bool
) -> None:
    account = Account(uid, uid, LAYOUT.home, LAYOUT.shell)
    seen = replace(UNTOUCHED, account=account, system_uids=limit)
    found = installation_obstacle(replace(LAYOUT, user_id=user_id), seen)
    assert (found is not None and found.reason == "NotSystemAccount") is refused
    assert found is None or (str(uid) in found.message and found.remedies)


@pytest.mark.finding("L3")
@pytest.mark.parametrize("end", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\r"])
def test_only_a_line_feed_ends_a_line(end: str) -> None:
    enclosed = base64.b64encode(f"quiesce readable no{end}quiesce uid 0\n".encode()).decode()
    found = visited(
        f"quiesce uid 1000{end}quiesce uid 0\nquiesce account_report {enclosed}\n"
        "quiesce end\n".encode()
    )
    assert found.observation is not None
    assert not found.observation.root


STOPPED: dict[str, bytes] = {
    "nothing": b"",
    "escapes": b"quiesce message \x1b[2J\x1b]0;x\x07 api_token=hunter2 \xff\nquiesce end\n",
    "a starter that is no unit": b"quiesce starter x}; rm -rf /\nquiesce end\n",
    "a long text": b"quiesce message " + QUADRATIC + b"quiesce end\n",
    "a long state": b"quiesce running\nquiesce boot "
    + b"a" * 9999
    + b"\nquiesce exists\nquiesce end\n",
}


@pytest.mark.finding("H3", "L2", "L4")
@pytest.mark.parametrize("what", STOPPED)
@pytest.mark.parametrize("ask", [control.observe, control.stop])
def test_a_wrong_report_on_nova_compute(what: str, ask: Callable[[Session, Unit], object]) -> None:
    unit = Unit(Supervisor.SYSTEMD, "nova-compute")
    with listening(ssh_server(answers(STOPPED[what], b"\x1b[31m"))) as port:
        target = Target("cmp1", "127.0.0.1", port)
        with connect(target, LOGIN, PINNED, frozenset(), SECONDS) as session:
            try:
                state = ask(session, unit)
            except StopFailed as error:
                said = [str(error), *error.remedies]
            else:
                said = [str(state)]
    assert all(each.isprintable() and len(each) < 512 for each in said)
    assert not any("hunter2" in each or "rm -rf" in each for each in said)
