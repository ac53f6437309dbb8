"""What a session with a host takes from the machine, and what a host can take from the session."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

from quiesce.ssh.errors import PermissionDenied, SSHError
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.login import Login
from quiesce.ssh.session import Target, connect
from tests.security.hostile_host import HOST_KEY, listening

SECRET = "internal-payroll-7"
"""What a service says, and nobody may read here."""
LOGIN_KEY, PERSONS_KEY = paramiko.ECDSAKey.generate(), paramiko.ECDSAKey.generate()
PINNED = PublicKey(HOST_KEY.get_name(), HOST_KEY.get_base64())
OPENED = ("session", "x11", "forwarded-tcpip", "auth-agent@openssh.com")


class Door(paramiko.ServerInterface):
    """Writes down how somebody wants to come in. `opens`: the door is for everyone."""

    def __init__(self, *, opens: bool) -> None:
        self.opens, self.tried = opens, list[str]()
        self.refused: list[str] = []

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password,keyboard-interactive"

    def get_banner(self) -> tuple[str, str]:
        return f"{SECRET}\r\n", "en-US"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.tried.append(key.get_base64())
        return AUTH_SUCCESSFUL if self.opens else AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        self.tried.append("a password")
        return AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> int:
        self.tried.append("a dialog")
        return AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._end, args=(channel,), daemon=True).start()
        return True

    def _end(self, channel: paramiko.Channel) -> None:
        """Before the command ends, the host tries to open channels to us."""
        channel.makefile("rb").read()
        transport = channel.get_transport()
        for kind in OPENED:
            try:
                transport.open_channel(kind, ("a", 1), ("b", 2), timeout=10)
            except paramiko.ChannelException:
                self.refused.append(kind)
        channel.send_exit_status(0)
        channel.close()


@contextlib.contextmanager
def served(door: Door) -> Iterator[Target]:
    def serve(guest: socket.socket) -> None:
        transport = paramiko.Transport(guest)
        transport.add_server_key(HOST_KEY)
        transport.start_server(server=door)
        transport.join()

    with listening(serve) as port:
        yield Target("cmp1", "127.0.0.1", port)


def visit(target: Target) -> int:
    with connect(target, Login("root", LOGIN_KEY), [PINNED], frozenset(), 20.0) as session:
        return session.run_script("true").code


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Of a person with a key, an agent and settings. Gives the agent's guests."""
    folder, guests = tmp_path / ".ssh", list[socket.socket]()
    folder.mkdir()
    PERSONS_KEY.write_private_key_file(str(folder / "id_ecdsa"))
    (folder / "config").write_text(f"Host *\n  IdentityFile {folder}/id_ecdsa\n  User somebody\n")
    agent = socket.socket(socket.AF_UNIX)
    agent.bind(str(tmp_path / "agent"))
    agent.listen()

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                guests.append(agent.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    yield guests
    agent.close()


@pytest.mark.finding("S4")
def test_one_key_logs_in_and_nothing_else_of_the_machine_is_tried(
    machine: list[socket.socket],
) -> None:
    door = Door(opens=False)
    with served(door) as target, pytest.raises(PermissionDenied):
        visit(target)
    assert set(door.tried) == {LOGIN_KEY.get_base64()}
    assert machine == []


@pytest.mark.finding("S4")
def test_a_host_can_open_nothing_on_our_side() -> None:
    door = Door(opens=True)
    with served(door) as target:
        assert visit(target) == 0
    assert door.refused == list(OPENED)


@pytest.mark.finding("S4")
def test_the_greeting_of_a_host_is_not_shown() -> None:
    with served(Door(opens=False)) as target, pytest.raises(PermissionDenied) as found:
        visit(target)
    assert SECRET not in f"{found.value} {found.value.remedies}"


@pytest.mark.finding("S4", "M11")
@pytest.mark.parametrize(
    "says",
    [
        f"220 {SECRET} ESMTP\r\n",
        f"-ERR unknown command {SECRET}\r\n",
        f"HTTP/1.1 400 {SECRET}\r\nServer: {SECRET}\r\n\r\n{SECRET}",
        f"\x00\x00\x00\x10{SECRET}",
    ],
)
def test_what_another_service_says_is_not_shown(says: str) -> None:
    """A keyring may name any address inside the cluster."""

    def serve(guest: socket.socket) -> None:
        guest.sendall(says.encode())
        guest.shutdown(socket.SHUT_WR)
        guest.recv(1024)

    with listening(serve) as port, pytest.raises(SSHError) as found:
        visit(Target("cmp1", "127.0.0.1", port))
    assert SECRET not in f"{found.value} {found.value.remedies}"
