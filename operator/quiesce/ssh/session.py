"""One SSH connection with a deadline: the host's key is checked against pins, then one key logs in.

Nothing of the machine is used: no agent, no key files, no configuration, no password. Every wait
has a limit, and at the deadline the connection is cut whatever it is doing: a host that sends
one byte a second cannot hold a thread longer than that.
"""

import logging
import shlex
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import paramiko

from quiesce.ssh.errors import (
    ConnectionRefused,
    HostKeyMismatch,
    HostKeyUnknown,
    PermissionDenied,
    SSHError,
    TimedOut,
    Unreachable,
)
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.login import Login
from quiesce.ssh.pins import SSH_PORT

_CONNECT_SECONDS = 8.0
"""For the TCP connection, and again for the key exchange and the login."""
_OUTPUT_LIMIT = 4 * 1024 * 1024
"""Bytes of a command's output; a host that sends more is cut off."""

# paramiko logs each failure with a traceback; what matters reaches the caller as an error.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect: `name` is for people, `address` is a name or an IP address."""

    name: str
    address: str
    port: int = SSH_PORT


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. `code` -1: killed by a signal."""

    code: int
    output: str
    errors: str


class Session:
    """An open connection, logged in. Made by `connect`."""

    def __init__(
        self, transport: paramiko.Transport, target: Target, sudo: bool, cut: "_Cut"
    ) -> None:
        self._transport, self._target, self._sudo, self._cut = transport, target, sudo, cut

    def run(self, argv: Sequence[str], stdin: str = "") -> Done:
        """Runs one command to its end, as root where the login says so. Raises SSHError.

        `argv` is quoted for the remote shell. Secrets go through `stdin`, which no process list
        shows.
        """
        command = [*(("sudo", "-n", "--") if self._sudo else ()), *argv]
        with self._cut.explained(self._target):
            channel = self._transport.open_session(timeout=_CONNECT_SECONDS)
            with channel:
                channel.exec_command(shlex.join(command))
                channel.sendall(stdin.encode())
                channel.shutdown_write()
                output = _drain(channel.recv)
                errors = _drain(channel.recv_stderr)
                return Done(channel.recv_exit_status(), output, errors)

    def run_script(self, script: str) -> Done:
        """Runs a POSIX shell script, sent over standard input. Raises SSHError."""
        return self.run(("/bin/sh", "-s"), script)


class _Cut:
    """The deadline of a connection."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self._sock, self._seconds, self.expired = sock, seconds, False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        self.expired = True
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed already

    def cancel(self) -> None:
        self._timer.cancel()

    @contextmanager
    def explained(self, target: Target) -> Iterator[None]:
        """Turns what paramiko raises into an SSHError; past the deadline it is a TimedOut."""
        try:
            yield
        except (paramiko.SSHException, OSError, EOFError) as error:
            if self.expired:
                raise self._timed_out(target) from error
            raise _failure(error, target) from error
        if self.expired:
            raise self._timed_out(target)

    def _timed_out(self, target: Target) -> TimedOut:
        return TimedOut(
            f"{_where(target)} is too slow: the connection was closed after {self._seconds:.0f}s"
        )


@contextmanager
def connect(
    target: Target,
    login: Login,
    pinned: Sequence[PublicKey],
    revoked: frozenset[PublicKey],
    seconds: float,
) -> Iterator[Session]:
    """A session of at most `seconds` with a host that presents a `pinned` key. Raises SSHError."""
    with _negotiated(target, pinned, seconds) as (transport, cut):
        with cut.explained(target):
            _check_host_key(target, _presented(transport), pinned, revoked)
            try:
                remaining = transport.auth_publickey(login.user, login.key)
            except paramiko.AuthenticationException as error:
                raise _denied(login) from error
            if remaining:
                raise _denied(login)
        yield Session(transport, target, login.sudo, cut)


def presented_key(target: Target, seconds: float) -> PublicKey:
    """The key that a host presents, without logging in. It proves nothing: for first use only."""
    with _negotiated(target, (), seconds) as (transport, cut), cut.explained(target):
        return _presented(transport)


@contextmanager
def _negotiated(
    target: Target, pinned: Sequence[PublicKey], seconds: float
) -> Iterator[tuple[paramiko.Transport, _Cut]]:
    sock = _dial(target)
    cut = _Cut(sock, seconds)
    transport: paramiko.Transport | None = None
    try:
        with cut.explained(target):
            transport = paramiko.Transport(sock)
            transport.banner_timeout = transport.auth_timeout = _CONNECT_SECONDS
            transport.channel_timeout = _CONNECT_SECONDS
            _prefer(transport, pinned)
            transport.start_client(timeout=_CONNECT_SECONDS)
            if not transport.initial_kex_done:
                raise TimedOut(
                    f"{_where(target)} did not finish the SSH key exchange "
                    f"within {_CONNECT_SECONDS:.0f}s"
                )
        yield transport, cut
    finally:
        cut.cancel()
        if transport is not None:
            transport.close()
        sock.close()


def _dial(target: Target) -> socket.socket:
    try:
        return socket.create_connection((target.address, target.port), timeout=_CONNECT_SECONDS)
    except OSError as error:
        raise _failure(error, target) from error


def _prefer(transport: paramiko.Transport, pinned: Sequence[PublicKey]) -> None:
    """Ask for a key of a pinned type first, as OpenSSH's client does: a host may have several."""
    options = transport.get_security_options()
    types = {key.type for key in pinned}
    rsa = {"rsa-sha2-512", "rsa-sha2-256"} if "ssh-rsa" in types else set()
    known = [name for name in options.key_types if name in types | rsa]
    options.key_types = tuple(known + [name for name in options.key_types if name not in known])


def _presented(transport: paramiko.Transport) -> PublicKey:
    key = transport.get_remote_server_key()
    return PublicKey(key.get_name(), key.get_base64())


def _check_host_key(
    target: Target, presented: PublicKey, pinned: Sequence[PublicKey], revoked: frozenset[PublicKey]
) -> None:
    shown = f"the host presents {presented.fingerprint}"
    if presented in revoked:
        raise HostKeyMismatch(
            f"{shown} ({presented.type}), which known_hosts marks @revoked",
            ["Give the host a new key, and pin that one"],
        )
    if not pinned:
        raise HostKeyUnknown(
            f"{shown} ({presented.type}), and no key of {target.name} is pinned",
            [
                f"Compare the fingerprint on the host: {_show_key(presented)}",
                "If it is the same, add the host's key to the object named in knownHostsRef",
            ],
        )
    if presented not in pinned:
        raise HostKeyMismatch(
            f"{shown}, but {_fingerprints(pinned)} is pinned",
            [
                f"Compare the fingerprint on the host: {_show_key(presented)}",
                "If the host was reinstalled, pin its new key; if not, find out who answers there",
            ],
        )


def _show_key(key: PublicKey) -> str:
    """The command that shows the fingerprint of this host key on the host."""
    kind = key.type.removeprefix("ssh-").partition("-")[0]
    return f"ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub"


def _fingerprints(keys: Sequence[PublicKey]) -> str:
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    return keys[0].fingerprint + more


def _denied(login: Login) -> PermissionDenied:
    return PermissionDenied(
        f"the host refuses the operator's key {login.public_key.fingerprint} for user {login.user}",
        [f"Add that key to authorized_keys of {login.user} on the host, or correct hostAccess"],
    )


def _failure(error: Exception, target: Target) -> SSHError:
    where = _where(target)
    if isinstance(error, ConnectionRefusedError):
        return ConnectionRefused(
            f"{where} refuses the connection",
            ["Start sshd on the host, or correct hostAccess.port"],
        )
    if isinstance(error, TimeoutError):
        return TimedOut(
            f"{where} does not answer within {_CONNECT_SECONDS:.0f}s",
            ["Check that the host is up, and that no firewall drops the operator's packets"],
        )
    if isinstance(error, socket.gaierror):
        return Unreachable(f"{where}: the name does not resolve ({error.strerror})")
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):
        return Unreachable(f"{where} cannot be reached: {error.strerror or error}")
    if "banner" in str(error).lower():
        return TimedOut(
            f"{where} accepts connections but sends no SSH banner within {_CONNECT_SECONDS:.0f}s",
            ["Check sshd on the host, and that hostAccess.port is its port"],
        )
    return SSHError(f"{where} closed the connection: {str(error)[:100] or type(error).__name__}")


def _where(target: Target) -> str:
    shown = f"{target.address}:{target.port}"
    return shown if target.name == target.address else f"{target.name} ({shown})"


def _drain(read: Callable[[int], bytes]) -> str:
    parts: list[bytes] = []
    size = 0
    while part := read(65536):
        size += len(part)
        if size > _OUTPUT_LIMIT:
            raise paramiko.SSHException(f"it sent more than {_OUTPUT_LIMIT} bytes of output")
        parts.append(part)
    return b"".join(parts).decode(errors="replace")
