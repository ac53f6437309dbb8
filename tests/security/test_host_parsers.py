"""Whatever a host says, it is a value of the right form or a plain error: for every parser of text
that hosts send.
"""

import base64
import re
import time
from collections.abc import Callable
from typing import TypeVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.api.host import Supervisor
from quiesce.compute import StopFailed, Unit, UnitState, control
from quiesce.keyring.act.path_check import check_rows, read_checks
from quiesce.keyring.act.reports import (
    UnreadableReport,
    account_lines,
    last_line,
    read_failed_change,
    read_observation,
    report_lines,
)
from quiesce.keyring.act.scripts import change_script
from quiesce.keyring.decide import changes, installation_obstacle, removal_obstacle, removals
from quiesce.keyring.model import HostObservation, PathTarget
from quiesce.keyring.model.identity import Identity
from quiesce.ops.weight import weight
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import read_public
from quiesce.ssh.pins import read_pins
from quiesce.ssh.session import Done, Session
from tests.security.fuzz import FUZZ
from tests.unit.keyring.build import IDENTITY, LAYOUT, OLD, desired
from tests.unit.keyring.test_scripts import TARGET

NASTY = st.sampled_from(
    ["", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\r", "\x1b[31m", "\u202e", "\U0001f600", "\0"]
)
TEXT = st.one_of(
    st.text(max_size=40),
    st.lists(NASTY | st.sampled_from(["a", " ", "|", ":", "/", "0", "-"]), max_size=20).map(
        "".join
    ),
    st.integers(-2, 10**30).map(str),
    st.just("9" * 5000),
    st.just("x-" * 20000),
    st.sampled_from(["nova", "root", "yes", "no", "/var/lib/nova", "/bin/sh", "64060", "0", "²"]),
)
FILES = st.builds("{}|{}|{}".format, TEXT, TEXT, TEXT | st.sampled_from(["755", "1777"]))
WORDS = [
    "uid", "account", "system_uids", "shell_usable", "home", "ssh_dir", "readable", "known_hosts",
    "known_lines", "found", "authorized_keys", "authorized", "config", "config_line", "included",
    "uses", "own", "stale", "compute", "end", "old", "account_report", "failed", "did", "path",
    "running", "boot", "stays", "exists", "absent", "process", "message", "starter", "stuck",
]  # fmt: skip
VALUES = st.one_of(
    TEXT,
    FILES,
    st.builds("{}:{}:{}:{}".format, TEXT, TEXT, TEXT, TEXT),
    st.builds("{}|{}|{}|{}|{}|{}".format, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT),
    st.builds("{}|{}|{}".format, st.just(IDENTITY.config), FILES, TEXT),
    st.builds("container|{}|/var/lib/nova|yes|yes|{}".format, st.integers(0, 99), TEXT),
    st.builds("{} {} {} {}".format, TEXT, st.sampled_from(["works", "copy", "x"]), TEXT, TEXT),
    TEXT.map(lambda text: f"{OLD.public.line} {text}"),
)
LINES = st.lists(st.tuples(st.sampled_from(WORDS), VALUES), max_size=12).map(
    lambda rows: "".join(f"quiesce {word} {value}\n" for word, value in rows)
)
REPORTS = st.builds(
    lambda root, account, tail: (
        f"{root}quiesce account_report {base64.b64encode(account.encode()).decode()}\n"
        f"quiesce uid 0\n{tail}quiesce end\n"
    ),
    LINES,
    LINES,
    st.just("") | LINES,
)
PLAIN = re.compile(
    r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff\U00010000-\U0010ffff]*"
)


_Value = TypeVar("_Value")
_Error = TypeVar("_Error", bound=Exception)


def outcome(read: Callable[[], _Value], error: type[_Error]) -> _Value | _Error:
    """Any other error is a failure of the test."""
    try:
        return read()
    except error as found:
        return found


def is_plain(text: str, limit: int) -> bool:
    return PLAIN.fullmatch(text) is not None and len(text) <= limit


def texts(seen: HostObservation) -> list[str]:
    """What messages are made of."""
    files = [seen.home, seen.ssh_dir, seen.known_hosts, seen.authorized_keys, seen.config]
    return [
        *(part for file in files if file for part in (file.kind, file.owner)),
        *((seen.account.home, seen.account.shell) if seen.account else ()),
        *(part for view in seen.computes for part in (view.where, view.home)),
        *((seen.original.shell, *seen.original.created) if seen.original else ()),
        *seen.own_files,
        seen.uses or "",
        seen.known_hosts_digest,
    ]


@pytest.mark.finding("H3", "L2", "L4")
@FUZZ
@given(REPORTS | LINES)
def test_a_hosts_report(text: str) -> None:
    seen = outcome(lambda: read_observation(text, IDENTITY), UnreadableReport)
    if isinstance(seen, UnreadableReport):
        assert is_plain(str(seen), 300)
        return
    assert all(is_plain(each, 256) for each in texts(seen))
    assert weight(seen) < 64 * 2**10
    assert all(isinstance(key, str) for key in seen.accepts)
    for obstacle in (installation_obstacle(LAYOUT, seen), removal_obstacle(LAYOUT, seen)):
        assert obstacle is None or is_plain(obstacle.message, 1000)
        assert obstacle is None or all(is_plain(each, 1000) for each in obstacle.remedies)
    for todo in (changes(desired(), seen), removals(LAYOUT, seen)):
        assert change_script(LAYOUT, todo)
        assert all(is_plain(change.what, 1000) for change in todo)
    for view in seen.computes:
        row = check_rows([PathTarget("cmp2", "192.0.2.2", "cmp2", view.instances)])
        assert len(row.split()) == 4 and len(row.split("\n")) == 1, "a word in another host's shell"


LARGEST = "\U0001f600" + "\u4e00" * 8000
"""One character makes Python keep four bytes for each of the others."""


@pytest.mark.finding("M9")
def test_little_is_kept_of_a_report_that_says_all_it_can() -> None:
    """Of thousands of hosts, for as long as there is the keyring."""
    key = f"ssh-ed25519 {OLD.public.base64}"
    own = f"{IDENTITY.tag}.{{:012x}}|{LARGEST}|{LARGEST}|600|{'0' * 64}"
    account = [
        *(f"authorized {number:010} {key} {LARGEST}" for number in range(300)),
        *(f"own {own.format(number)}" for number in range(500)),
        *(f"{word} {LARGEST}|{LARGEST}|600" for word in ("authorized_keys", "config")),
        *["config_line x"] * 200,
        f"uses {0:012x}",
    ]
    root = [
        f"account 64060:64060:{LARGEST}:{LARGEST}",
        *(f"{word} {LARGEST}|{LARGEST}|600" for word in ("home", "ssh_dir", "known_hosts")),
        f"known_lines {'0' * 64}",
        f"found # found shell=/{'s' * 255} made={'m' * 255}",
        *(f"compute host|{number}|{LARGEST}|yes|yes|{number}:1" for number in range(99)),
    ]
    inner = "".join(f"quiesce {line}\n" for line in account)
    root.append(f"account_report {base64.b64encode(inner.encode()).decode()}")
    text = "".join(f"quiesce {line}\n" for line in ["uid 0", *root, "end"])
    seen = read_observation(text, IDENTITY)
    assert seen.own_files and seen.computes and seen.accepts == {OLD.public.id}
    assert weight(seen) < 64 * 2**10
    began = time.process_time()
    for _ in range(1000):
        assert seen.accepts
    assert time.process_time() - began < 0.2, "asked for each host, at every tick of a rotation"


@pytest.mark.finding("L3")
@FUZZ
@given(LINES)
def test_what_the_account_prints_changes_nothing_of_roots_report(text: str) -> None:
    root = (
        "quiesce uid 0\nquiesce account 64060:64060:/var/lib/nova:/bin/bash\n"
        "quiesce ssh_dir directory|nova|700\nquiesce home directory|nova|755\n"
    )
    enclosed = base64.b64encode(text.encode()).decode()
    try:
        seen = read_observation(f"{root}quiesce account_report {enclosed}\nquiesce end\n", IDENTITY)
    except UnreadableReport:
        return
    assert seen.root and seen.account is not None and seen.account.uid == 64060
    assert (seen.computes, seen.original, seen.known_hosts) == ((), None, None)


@pytest.mark.finding("L4")
@FUZZ
@given(LINES, st.integers(0, 5))
def test_the_report_of_a_change(text: str, steps: int) -> None:
    failed = outcome(lambda: read_failed_change(text, steps), UnreadableReport)
    if isinstance(failed, UnreadableReport):
        assert is_plain(str(failed), 300)
        return
    assert failed is None or (failed[0] < steps and is_plain(failed[1], 300))


@pytest.mark.finding("L4")
@FUZZ
@given(st.lists(VALUES.map("path {}".format) | TEXT), st.integers(0, 3))
def test_the_report_of_a_path(lines: list[str], targets: int) -> None:
    for check in read_checks(lines, [TARGET] * targets).values():
        assert is_plain(check.message, 400)


class Answer:
    """A session on a host that answers this to everything."""

    def __init__(self, output: str, errors: str) -> None:
        self.done = Done(0, output, errors)

    def run_script(self, script: str) -> Done:
        return self.done


@pytest.mark.finding("L2", "L4")
@FUZZ
@given(LINES, TEXT, st.sampled_from([control.observe, control.stop]))
def test_the_report_on_nova_compute(
    text: str, errors: str, ask: Callable[[Session, Unit], UnitState]
) -> None:
    session = cast("Session", Answer(f"{text}quiesce end\n", errors))
    state = outcome(lambda: ask(session, Unit(Supervisor.SYSTEMD, "nova-compute")), StopFailed)
    if isinstance(state, StopFailed):
        assert is_plain(str(state), 700)
        assert all(is_plain(each, 700) for each in state.remedies)
        return
    assert is_plain(state.text, 64), "status.record.foundUnit takes 64 characters"
    assert UnitState.read(state.text) == state


@FUZZ
@given(TEXT)
def test_the_last_line_of_something_else(text: str) -> None:
    assert is_plain(last_line(text), 200)


@pytest.mark.finding("L3", "L4")
@FUZZ
@given(st.lists(st.tuples(TEXT, TEXT, TEXT | st.just(OLD.public.base64))))
def test_a_known_hosts_file(rows: list[tuple[str, str, str]]) -> None:
    lines = [f"{name} {kind} {key}" for name, kind, key in [*rows, ("a", "ssh-ed25519", "")]]
    pins = outcome(lambda: read_pins("\n".join(lines), "pins"), BadKey)
    if isinstance(pins, BadKey):
        assert is_plain(str(pins), 300)
        return
    assert all(re.fullmatch(r"[\w@.-]{1,64}", pin.key.type) for pin in pins.pins)


@FUZZ
@given(TEXT | st.builds("{} {}".format, TEXT, TEXT | st.just(OLD.public.base64)))
def test_a_public_key(text: str) -> None:
    try:
        key = read_public(text)
    except ValueError:
        return
    assert re.fullmatch(r"[A-Za-z0-9@._-]{1,64}", key.type)
    assert key.fingerprint and key.id


@FUZZ
@given(st.text(alphabet="ac-e0.pubconfquis", max_size=40))
def test_names_of_files(name: str) -> None:
    marked = Identity.of("openstack", "cold", "uid")
    for identity in (IDENTITY, marked):
        assert not identity.owns(name) or re.fullmatch(
            re.escape(identity.tag) + r"\.(conf|[0-9a-f]{12}(\.pub)?)", name
        )
    assert not marked.owns(IDENTITY.config) and not IDENTITY.owns(marked.config)


@FUZZ
@given(TEXT)
def test_an_encoded_report_that_is_none(text: str) -> None:
    lines = report_lines(f"quiesce account_report {text}\n")
    found = outcome(lambda: account_lines(lines), UnreadableReport)
    assert not isinstance(found, UnreadableReport) or is_plain(str(found), 300)
