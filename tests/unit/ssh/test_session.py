"""Whom the operator logs in to, and what it says there: against an SSH server in this process."""

import shlex
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from quiesce.ops import leadership
from quiesce.ops.leadership import Fence, NotLeading
from quiesce.ssh import session
from quiesce.ssh.errors import HostKeyMismatch, HostKeyUnknown, PermissionDenied, Unreachable
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.login import Login
from quiesce.ssh.session import Target, connect

HOST_KEY = paramiko.ECDSAKey.generate()
LOGIN_KEY = paramiko.ECDSAKey.generate()
OTHER_KEY = paramiko.ECDSAKey.generate()


def public(key: paramiko.PKey) -> PublicKey:
    return PublicKey(key.get_name(), key.get_base64())


class Door(paramiko.ServerInterface):
    """Lets one key in and keeps what it was asked to run and was sent; every command ends well."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.commands: list[str] = []
        self.sent: list[bytes] = []  # over standard input
        self.meanwhile: Callable[[], object] = bool  # while a command is answered

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.tried.append(username)
        return AUTH_SUCCESSFUL if key == LOGIN_KEY else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command.decode())
        self.meanwhile()
        threading.Thread(target=self.end, args=(channel,), daemon=True).start()
        return True

    def end(self, channel: paramiko.Channel) -> None:
        self.sent.append(channel.makefile("rb").read())
        with suppress(EOFError):  # the guest may have gone
            channel.send_exit_status(0)
            channel.close()


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def target(door: Door) -> Iterator[Target]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        guest, _ = listener.accept()
        transport = paramiko.Transport(guest)
        transport.add_server_key(HOST_KEY)
        try:
            transport.start_server(server=door)
        except (paramiko.SSHException, EOFError, OSError):
            return  # the guest went without a word, as it should where it does not know the key

    threading.Thread(target=serve, daemon=True).start()
    yield Target("cmp1", *listener.getsockname())
    listener.close()


def run(
    target: Target,
    pinned: Sequence[paramiko.PKey],
    *,
    argv: Sequence[str] = ("true",),
    revoked: Sequence[paramiko.PKey] = (),
    key: paramiko.PKey = LOGIN_KEY,
    sudo: bool = False,
) -> int:
    pins, bad = [public(pin) for pin in pinned], frozenset(public(pin) for pin in revoked)
    with connect(target, Login("root", key, sudo), pins, bad, 10.0) as opened:
        return opened.run(argv).code


def test_a_pinned_host_is_logged_in_to(target: Target, door: Door) -> None:
    assert run(target, [OTHER_KEY, HOST_KEY]) == 0
    assert door.commands == ["true"]


@pytest.mark.finding("S4")
@pytest.mark.promise("never-10")
def test_an_unknown_host_is_shown_and_not_logged_in_to(target: Target, door: Door) -> None:
    with pytest.raises(HostKeyUnknown, match=public(HOST_KEY).fingerprint.replace("+", r"\+")):
        run(target, [])
    assert door.tried == []


@pytest.mark.finding("S4")
@pytest.mark.promise("never-10")
def test_a_changed_host_is_shown_with_both_keys_and_not_logged_in_to(
    target: Target, door: Door
) -> None:
    with pytest.raises(HostKeyMismatch) as found:
        run(target, [OTHER_KEY])
    assert public(HOST_KEY).fingerprint in str(found.value)
    assert public(OTHER_KEY).fingerprint in str(found.value)
    assert door.tried == []


@pytest.mark.finding("S4")
def test_a_revoked_key_is_not_logged_in_to(target: Target, door: Door) -> None:
    with pytest.raises(HostKeyMismatch, match="@revoked"):
        run(target, [HOST_KEY], revoked=[HOST_KEY])
    assert door.tried == []


def test_a_refused_login_names_the_operators_key(target: Target) -> None:
    with pytest.raises(PermissionDenied, match="user root") as found:
        run(target, [HOST_KEY], key=OTHER_KEY)
    assert public(OTHER_KEY).fingerprint in str(found.value)


@pytest.mark.finding("S1")
@pytest.mark.promise("never-10")
def test_words_of_a_command_stay_words(target: Target, door: Door) -> None:
    argv = ("/bin/sh", "-c", "a; b", "$(c)", "it's")
    run(target, [HOST_KEY], argv=argv, sudo=True)
    assert shlex.split(door.commands[0]) == ["sudo", "-n", "--", *argv]


@pytest.mark.finding("S4")
def test_a_host_key_that_nobody_checks_would_be_noticed(
    target: Target, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_check_host_key", lambda *_: None)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test_an_unknown_host_is_shown_and_not_logged_in_to(target, door)
    assert door.tried == ["root"]


@pytest.mark.finding("S1")
def test_words_that_are_not_quoted_would_be_noticed(
    target: Target, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shlex, "join", " ".join)
    with pytest.raises((AssertionError, ValueError)):
        test_words_of_a_command_stay_words(target, door)


@pytest.mark.finding("M11")
@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1"])
def test_a_link_local_address_is_not_connected_to(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that was taken over says itself where it is reached."""
    asked: list[object] = []
    monkeypatch.setattr(socket, "create_connection", lambda at, **_: asked.append(at))
    with pytest.raises(Unreachable, match="link-local"):
        run(Target("cmp1", address, 22), [HOST_KEY])
    assert asked == []


@pytest.fixture
def fence(monkeypatch: pytest.MonkeyPatch) -> Fence:
    """Open."""
    found = Fence(float("inf"))
    monkeypatch.setattr(leadership, "_installed", found)
    return found


@pytest.mark.promise("always-10")
def test_a_host_is_sent_no_command_without_the_lease(
    target: Target, door: Door, fence: Fence
) -> None:
    fence.close(0)
    with pytest.raises(NotLeading):
        run(target, [HOST_KEY])
    assert door.commands == []


@pytest.mark.promise("always-10")
def test_a_script_is_checked_again_before_it_is_sent(
    target: Target, door: Door, fence: Fence
) -> None:
    """The shell has begun by then, and waits for it on the host."""
    door.meanwhile = lambda: fence.extend(0.0)
    pins = [public(HOST_KEY)]
    with (
        connect(target, Login("root", LOGIN_KEY, False), pins, frozenset(), 10.0) as opened,
        pytest.raises(NotLeading),
    ):
        opened.run_script("systemctl stop nova-compute")
    assert door.commands == ["/bin/sh -s"]
    assert b"".join(door.sent) == b""
