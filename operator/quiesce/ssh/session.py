"""One SSH connection with a deadline: the host's key is checked against pins, then one key logs in.

Nothing of the machine is used: no agent, no key files, no configuration, no password. Every wait
has a limit, and at the deadline the connection is cut whatever it is doing: a host that sends
one byte a second cannot hold a thread longer than that. What a host sends is counted (`wire`): one
that sends without end is cut as well.

paramiko is loaded by the first connection: an operator without one has 14 MiB less.
"""

import logging
import select
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quiesce.api.outside import cleaned
from quiesce.ops import leadership
from quiesce.ops.resolve import is_link_local, resolve
from quiesce.ssh.errors import (
    ConnectionRefused,
    HostKeyMismatch,
    HostKeyUnknown,
    PermissionDenied,
    SentTooMuch,
    SSHError,
    TimedOut,
    Unreachable,
)
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.login import Login
from quiesce.ssh.pins import SSH_PORT

if TYPE_CHECKING:
    import paramiko

    from quiesce.ssh.wire import Wire

_CONNECT_SECONDS = 8.0
"""For the TCP connection, and again for the key exchange and the login."""
_OUTPUT_LIMIT = 512 * 1024
"""Bytes of one command, output and errors together; what our scripts print is below 100 KiB."""
_SESSION_LIMIT = 2 * 1024 * 1024
"""Bytes that a host may send in one session, of any kind."""
_WINDOW = 256 * 1024
"""Bytes that a command's output may be ahead of us."""
_ADDRESSES = 3
"""Of a name: more are not tried."""

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
        self, transport: "paramiko.Transport", target: Target, sudo: bool, cut: "_Cut"
    ) -> None:
        self._transport, self._target, self._sudo, self._cut = transport, target, sudo, cut

    def run(self, argv: Sequence[str], stdin: str = "") -> Done:
        """Runs one command to its end, as root where the login says so. Raises SSHError, and
        NotLeading: what a command changes is not known here, so each one is checked.

        `argv` is quoted for the remote shell. Secrets go through `stdin`, which no process list
        shows.
        """
        command = [*(("sudo", "-n", "--") if self._sudo else ()), *argv]
        with leadership.writing(), self._cut.explained(self._target):
            channel = self._transport.open_session(timeout=_CONNECT_SECONDS)
            with channel:
                leadership.check()
                channel.exec_command(shlex.join(command))
                leadership.check()  # a script waits on the host until it is sent
                channel.sendall(stdin.encode())
                channel.shutdown_write()
                output, errors = _read(channel)
                return Done(channel.recv_exit_status(), output, errors)

    def run_script(self, script: str) -> Done:
        """Runs a POSIX shell script, sent over standard input. Raises SSHError."""
        return self.run(("/bin/sh", "-s"), script)


class _Cut:
    """The deadline of a connection, and what it may receive."""

    def __init__(self, wire: "Wire", seconds: float) -> None:
        self._wire, self._seconds, self.expired = wire, seconds, False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True
        self._timer.start()

    def _expire(self) -> None:
        self.expired = True
        try:
            self._wire.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # closed already

    def cancel(self) -> None:
        self._timer.cancel()

    def logged_in(self) -> None:
        """The host is the right one: from now on it may send more."""
        self._wire.limit = _SESSION_LIMIT

    @contextmanager
    def explained(self, target: Target) -> Iterator[None]:
        """Turns what paramiko raises into an SSHError; past the deadline it is a TimedOut.

        paramiko passes on whatever its parsers raise where a host sends nonsense.
        """
        try:
            yield
        except (SSHError, leadership.NotLeading):
            raise
        except Exception as error:
            raise self._cause(target) or _failure(error, target) from error
        if cause := self._cause(target):
            raise cause

    def _cause(self, target: Target) -> SSHError | None:
        """Why the connection was cut from this side; None: it was not."""
        if self._wire.overrun:
            return SentTooMuch(
                f"{_where(target)} sent more than a session takes: the connection was closed",
                ["Find out what answers there, and what it prints"],
            )
        if self.expired:
            return TimedOut(
                f"{_where(target)} is too slow: the connection was closed after "
                f"{self._seconds:.0f}s"
            )
        return None


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
            _log_in(transport, login, target)
            cut.logged_in()
        yield Session(transport, target, login.sudo, cut)


def presented_key(target: Target, seconds: float) -> PublicKey:
    """The key that a host presents, without logging in. It proves nothing: for first use only."""
    with _negotiated(target, (), seconds) as (transport, cut), cut.explained(target):
        return _presented(transport)


@contextmanager
def _negotiated(
    target: Target, pinned: Sequence[PublicKey], seconds: float
) -> Iterator[tuple["paramiko.Transport", _Cut]]:
    import paramiko

    from quiesce.ssh.wire import Packets, Wire, restrict

    wire = Wire(_dial(target))
    cut = _Cut(wire, seconds)
    transport: paramiko.Transport | None = None
    try:
        with cut.explained(target):
            transport = paramiko.Transport(
                wire, default_window_size=_WINDOW, packetizer_class=Packets
            )
            transport.banner_timeout = transport.auth_timeout = _CONNECT_SECONDS
            transport.channel_timeout = _CONNECT_SECONDS
            restrict(transport, [key.type for key in pinned])
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
        wire.close()


def _dial(target: Target) -> socket.socket:
    """Connected, within _CONNECT_SECONDS for all addresses of the name together."""
    end, failed = time.monotonic() + _CONNECT_SECONDS, OSError("the name has no address")
    try:
        found = resolve(target.address, target.port, _CONNECT_SECONDS)
        for *_, place in found[:_ADDRESSES]:
            if is_link_local(str(place[0])):
                failed = OSError("its address is link-local, which no compute host has")
                continue
            left = max(1.0, end - time.monotonic())
            try:
                return socket.create_connection((str(place[0]), target.port), timeout=left)
            except OSError as error:
                failed = error
    except (OSError, UnicodeError) as error:
        raise _failure(error, target) from error
    raise _failure(failed, target) from failed


def _log_in(transport: "paramiko.Transport", login: Login, target: Target) -> None:
    import paramiko

    try:
        remaining = transport.auth_publickey(login.user, login.key)
    except paramiko.AuthenticationException as error:
        if "timeout" in str(error).lower():
            raise TimedOut(
                f"{_where(target)} did not answer the login within {_CONNECT_SECONDS:.0f}s"
            ) from error
        raise _denied(login) from error
    if remaining:
        raise _denied(login)


def _presented(transport: "paramiko.Transport") -> PublicKey:
    key = transport.get_remote_server_key()
    return PublicKey(key.get_name(), key.get_base64())


def _check_host_key(
    target: Target, presented: PublicKey, pinned: Sequence[PublicKey], revoked: frozenset[PublicKey]
) -> None:
    refuse_revoked(presented, revoked)
    shown = f"the host presents {presented.fingerprint}"
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


def refuse_revoked(presented: PublicKey, revoked: frozenset[PublicKey]) -> None:
    """Raises HostKeyMismatch."""
    if presented in revoked:
        raise HostKeyMismatch(
            f"the host presents {presented.fingerprint} ({presented.type}), which known_hosts "
            "marks @revoked",
            ["Give the host a new key, and pin that one"],
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
        return Unreachable(
            f"{where} cannot be reached: {cleaned(str(error.strerror or error), 100)}"
        )
    if "banner" in str(error).lower():
        return TimedOut(
            f"{where} accepts connections but sends no SSH banner within {_CONNECT_SECONDS:.0f}s",
            ["Check sshd on the host, and that hostAccess.port is its port"],
        )
    said = cleaned(str(error), 100) or type(error).__name__
    return SSHError(f"{where} closed the connection: {said}")


def _where(target: Target) -> str:
    shown = f"{target.address}:{target.port}"
    return shown if target.name == target.address else f"{target.name} ({shown})"


def _read(channel: "paramiko.Channel") -> tuple[str, str]:
    """Output and errors of a command, to their end, as they come."""
    output, errors, ready = bytearray(), bytearray(), select.poll()
    ready.register(channel.fileno(), select.POLLIN)
    while True:
        ended = channel.eof_received or channel.closed
        ready.poll(0 if ended else 1000)
        _take(channel.recv_ready, channel.recv, output)
        _take(channel.recv_stderr_ready, channel.recv_stderr, errors)
        if len(output) + len(errors) > _OUTPUT_LIMIT:
            raise SentTooMuch(f"a command printed more than {_OUTPUT_LIMIT // 1024} KiB")
        if ended:
            return output.decode(errors="replace"), errors.decode(errors="replace")


def _take(ready: Callable[[], bool], read: Callable[[int], bytes], into: bytearray) -> None:
    """What has arrived, without waiting for more."""
    while ready() and len(into) <= _OUTPUT_LIMIT:
        into += read(_WINDOW)
