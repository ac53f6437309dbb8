"""Scripts in real shells: values stay values, reports are read, a broken script runs nothing."""

import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.keyring.build import IDENTITY, LAYOUT, OLD, UNTOUCHED, desired

from quiesce.keyring.act import scripts
from quiesce.keyring.act.path_check import path_check, read_checks
from quiesce.keyring.act.reports import UnreadableReport, read_observation
from quiesce.keyring.decide import changes
from quiesce.keyring.model import PathTarget
from quiesce.keyring.model.changes import MakeAccount, MakeHome, RemoveAccount, SetShell

TARGET = PathTarget("cmp2", "192.0.2.2", "cmp2")
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
        scripts.check_script(LAYOUT, "cmp1", "/key.pub", [TARGET]),
    ]
    for text in texts:
        done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.finding("S1")
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


@pytest.mark.finding("S1")
def test_values_stay_values(tmp_path: Path) -> None:
    """Were one ever let through by the spec: a shell still sees it as text."""
    touch = f"touch {tmp_path}/owned"
    evil = f"/x'; {touch}; $({touch}) `{touch}` \n {touch} #"
    layout = replace(LAYOUT, user=evil, home=evil, shell=evil, known_hosts_file=evil)
    for text in (
        scripts.observe_script(layout),
        scripts.change_script(layout, [SetShell(evil, evil)]),
        scripts.check_script(layout, evil, evil, [PathTarget(evil, "", evil)]),
    ):
        subprocess.run(
            ["/bin/sh", "-s"], input=text, text=True, capture_output=True, check=False, timeout=20
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.finding("S1")
def test_values_that_are_not_quoted_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shlex, "quote", str)
    with pytest.raises(AssertionError):
        test_values_stay_values(tmp_path)


@pytest.mark.finding("S1")
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
    ("step", "code", "words", "reason"),
    [
        ("works", 0, "", None),
        ("mkdir", 255, "ssh: connect to host 192.0.2.2 port 22: Connection refused", "Refused"),
        ("mkdir", 255, "ssh: connect to host 192.0.2.2 port 22: Connection timed out", "Timeout"),
        ("mkdir", 124, "", "Timeout"),
        (
            "mkdir",
            255,
            "No ED25519 host key is known for 192.0.2.2.\tHost key verification failed.",
            "HostKeyMismatch",
        ),
        ("mkdir", 255, "nova@192.0.2.2: Permission denied (publickey).", "PermissionDenied"),
        ("mkdir", 1, "This account is currently not available.", "ShellNotAllowed"),
        ("mkdir", 1, "", "ShellNotAllowed"),
        ("mkdir", 0, "Hello, this account runs one command only", "ShellNotAllowed"),
        ("mkdir", 1, "mkdir: cannot create directory '/x': Permission denied", "NotWritable"),
        ("mkdir", 1, "mkdir: cannot create directory '/x': Disk quota exceeded", "DiskFull"),
        ("mkdir", 1, "mkdir: cannot create directory '/x': Read-only file system", "ReadOnly"),
        ("mkdir", 255, "ssh: Could not resolve hostname c9: Name or service n", "Unreachable"),
        ("mkdir", 255, "Bad owner or permissions on /var/lib/nova/.ssh/config", "ClientConfig"),
        ("mkdir", 127, "", "NoClient"),
        ("mkdir", 255, "kex_exchange_identification: read: Connection reset", "LoginFailed"),
        ("copy", 255, "subsystem request failed on channel 0\tscp: Connection closed", "NoSFTP"),
        ("copy", 1, "bash: line 1: scp: command not found\tlost connection", "NoSFTP"),
        ("copy", 1, "scp: write remote: Failure\tcat: write error: No space left", "DiskFull"),
        ("copy", 1, "scp: something else", "CopyFailed"),
        ("elsewhere", 0, "", "WrongFolder"),
        ("fetch", 255, "ssh: Could not resolve hostname cmp2", "Unreachable"),
        ("fetch", 0, "another file", "WrongHost"),
        ("fetch", 1, "cat: /x/copy: No such file or directory", "WrongHost"),
    ],
)
def test_the_cause_of_a_failed_copy(step: str, code: int, words: str, reason: str | None) -> None:
    assert path_check(step, code, words, TARGET).reason == reason


@pytest.mark.field_case("D9")
def test_a_message_is_the_line_in_which_ssh_gives_its_cause() -> None:
    warning = "Add correct host key in /dev/null to get rid of this message." * 5
    words = f"@@@@@@@@@@@@\t{warning}\tHost key verification failed."
    assert path_check("mkdir", 255, words, TARGET).message == "Host key verification failed."
    sftp = path_check("copy", 255, "subsystem request failed\tscp: Connection closed", TARGET)
    assert sftp.message == "subsystem request failed"


def test_checks_are_read_by_place_and_strangers_are_skipped() -> None:
    lines = ["path 0 works 0 ", "path 7 works 0 ", "end"]
    assert {name: check.works for name, check in read_checks(lines, [TARGET]).items()} == {
        "cmp2": True
    }
