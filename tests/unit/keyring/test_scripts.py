"""Scripts in real shells: values stay values, reports are read, a broken script runs nothing."""

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.keyring.build import IDENTITY, LAYOUT, OLD, UNTOUCHED, desired

from quiesce.keyring.act import scripts
from quiesce.keyring.act.reports import UnreadableReport, path_check, read_observation
from quiesce.keyring.decide import changes
from quiesce.keyring.model import PathTarget
from quiesce.keyring.model.changes import MakeAccount, MakeHome, RemoveAccount, SetShell

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts_are_posix(shell: str) -> None:
    argv = [shell, "sh", "-n"] if shell == "busybox" else [shell, "-n"]
    texts = [
        scripts.observe_script(LAYOUT),
        scripts.change_script(LAYOUT, changes(desired(), UNTOUCHED)),
        scripts.change_script(
            LAYOUT, [MakeAccount("nova"), MakeHome(LAYOUT.home), RemoveAccount("nova")]
        ),
        scripts.check_script(LAYOUT, [PathTarget("cmp2", "192.0.2.2")]),
    ]
    for text in texts:
        done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.999])
def test_a_script_that_arrives_in_part_does_nothing(tmp_path: Path, cut: float) -> None:
    layout = replace(
        LAYOUT, home=str(tmp_path / "home"), known_hosts_file=str(tmp_path / "known_hosts")
    )
    text = scripts.change_script(layout, changes(replace(desired(), layout=layout), UNTOUCHED))
    subprocess.run(
        ["/bin/sh", "-s"],
        input=text[: int(len(text) * cut)],
        text=True,
        capture_output=True,
        check=False,
    )
    assert list(tmp_path.iterdir()) == []


def test_values_stay_values(tmp_path: Path) -> None:
    """Were one ever let through by the spec: a shell still sees it as text."""
    touch = f"touch {tmp_path}/owned"
    evil = f"/x'; {touch}; $({touch}) `{touch}` \n {touch} #"
    layout = replace(LAYOUT, user=evil, home=evil, shell=evil, known_hosts_file=evil)
    for text in (
        scripts.observe_script(layout),
        scripts.change_script(layout, [SetShell(evil, evil)]),
        scripts.check_script(layout, []),
    ):
        subprocess.run(
            ["/bin/sh", "-s"], input=text, text=True, capture_output=True, check=False, timeout=20
        )
    assert list(tmp_path.iterdir()) == []


def test_values_that_are_not_quoted_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shlex, "quote", str)
    with pytest.raises(AssertionError):
        test_values_stay_values(tmp_path)


def test_private_keys_are_words_of_no_command() -> None:
    """In the script they are arguments of a function, which the shell keeps to itself."""
    text = scripts.change_script(LAYOUT, changes(desired(), UNTOUCHED))
    secret = OLD.private.splitlines()[1]
    lines = [line for line in text.splitlines() if "PRIVATE KEY" in line and "BEGIN" in line]
    assert len(lines) == 1
    assert lines[0].startswith("act as_user ")
    assert text.count(secret) == 1


def test_an_incomplete_report_is_no_report() -> None:
    with pytest.raises(UnreadableReport):
        read_observation("quiesce uid 0\nquiesce account 1:1:/home:/bin/sh:yes\n", IDENTITY)
    with pytest.raises(UnreadableReport):
        read_observation("quiesce uid 0\nquiesce home nonsense\nquiesce end\n", IDENTITY)


def test_a_report_is_read_past_what_login_scripts_print() -> None:
    seen = read_observation(
        "Welcome!\nquiesce uid 0\nquiesce known_hosts \nquiesce end\nlogout\n", IDENTITY
    )
    assert seen.root
    assert seen.account is None


@pytest.mark.parametrize(
    ("code", "words", "reason"),
    [
        (0, "", None),
        (255, "ssh: connect to host 192.0.2.2 port 22: Connection refused", "Refused"),
        (255, "ssh: connect to host 192.0.2.2 port 22: Connection timed out", "Timeout"),
        (124, "", "Timeout"),
        (
            255,
            "No ED25519 host key is known for 192.0.2.2. Host key verification failed.",
            "HostKeyMismatch",
        ),
        (255, "nova@192.0.2.2: Permission denied (publickey).", "PermissionDenied"),
        (1, "This account is currently not available.", "ShellNotAllowed"),
        (1, "", "ShellNotAllowed"),
        (255, "ssh: Could not resolve hostname cmp9: Name or service not known", "Unreachable"),
        (255, "Bad owner or permissions on /var/lib/nova/.ssh/config", "ClientConfig"),
        (127, "", "NoClient"),
        (255, "kex_exchange_identification: read: Connection reset by peer", "LoginFailed"),
    ],
)
def test_the_cause_of_a_failed_login(code: int, words: str, reason: str | None) -> None:
    assert path_check(code, words).reason == reason
