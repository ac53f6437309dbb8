"""A host that does as it likes with anyone who connects: raw bytes, or an SSH server gone bad."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import paramiko
from paramiko.common import (
    AUTH_SUCCESSFUL,
    OPEN_SUCCEEDED,
    cMSG_CHANNEL_DATA,
    cMSG_CHANNEL_EXTENDED_DATA,
    cMSG_IGNORE,
)

HOST_KEY = paramiko.ECDSAKey.generate()
Raw = Callable[[socket.socket], None]
Command = Callable[[paramiko.Channel, str], None]


@contextlib.contextmanager
def listening(serve: Raw) -> Iterator[int]:
    """The port of a listener on loopback; every connection is served in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve_one(guest: socket.socket) -> None:
        with guest, contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            serve(guest)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                guest, _ = listener.accept()
                threading.Thread(target=serve_one, args=(guest,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


class _Server(paramiko.ServerInterface):
    def __init__(self, command: Command) -> None:
        self._command = command

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._run, args=(channel,), daemon=True).start()
        return True

    def _run(self, channel: paramiko.Channel) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._command(channel, channel.makefile("rb").read().decode())


def ssh_server(command: Command) -> Raw:
    """Lets everybody in; `command` gets the channel and what came over standard input."""

    def serve(guest: socket.socket) -> None:
        transport = paramiko.Transport(guest)
        transport.add_server_key(HOST_KEY)
        transport.start_server(server=_Server(command))
        while transport.is_active():
            time.sleep(0.05)

    return serve


def answers(output: bytes, errors: bytes = b"", code: int = 0) -> Command:
    """Sends exactly this, and ends well."""

    def command(channel: paramiko.Channel, script: str) -> None:
        channel.sendall(output)
        channel.sendall_stderr(errors)
        channel.send_exit_status(code)
        channel.close()

    return command


def floods(kind: bytes) -> Command:
    """Sends without end, whatever the window: `kind` is that of the message."""

    def command(channel: paramiko.Channel, script: str) -> None:
        block, transport = b"x" * 30000, cast("Any", channel.get_transport())
        while True:
            message = paramiko.Message()
            message.add_byte(kind)
            if kind != cMSG_IGNORE:
                message.add_int(channel.remote_chanid)
            if kind == cMSG_CHANNEL_EXTENDED_DATA:
                message.add_int(1)
            message.add_string(block)
            transport._send_message(message)

    return command


def drips(channel: paramiko.Channel, script: str) -> None:
    """A byte now and then, to both streams, and no end."""
    while True:
        channel.sendall(b"q")
        channel.sendall_stderr(b"q")
        time.sleep(0.2)


def never_ends(channel: paramiko.Channel, script: str) -> None:
    """The output ends, the command does not."""
    channel.sendall(b"quiesce end\n")
    channel.shutdown_write()
    time.sleep(600)


AFTER_LOGIN: dict[str, Command] = {
    "floods stdout": floods(cMSG_CHANNEL_DATA),
    "floods stderr": floods(cMSG_CHANNEL_EXTENDED_DATA),
    "floods what is to be ignored": floods(cMSG_IGNORE),
    "drips": drips,
    "never ends": never_ends,
}


SECRET = "hunter2"
"""What hosts say as if it were a password."""
_SAID = f"\x1b[31mpassword={SECRET}\x1b[0m".encode() + b"\xff\xfe\xe2\x80\xae"
LIES: dict[str, Command] = {
    "says what is no text": answers(bytes(range(128, 256)) * 4000, _SAID),
    "says terminal escapes": answers(
        b"quiesce failed 0 \x1b[2J\x1b]0;x\x07" + _SAID + b"\n", _SAID
    ),
    "forges a report": answers(
        b"quiesce uid 0\nquiesce account 64060:64060:/var/lib/nova:/bin/bash\n"
        b"quiesce shell_usable yes\nquiesce home directory|nova|755\nquiesce end\n"
        b"quiesce failed 9999 " + _SAID + b"\nquiesce end\n",
        _SAID,
    ),
}


def _repeat(block: bytes, first: bytes = b"", pause: float = 0.0) -> Raw:
    def serve(guest: socket.socket) -> None:
        guest.sendall(first)
        while True:
            guest.sendall(block)
            time.sleep(pause)

    return serve


def _silent(guest: socket.socket) -> None:
    time.sleep(600)


_VERSION = b"SSH-2.0-OpenSSH_9.9\r\n"
BEFORE_LOGIN: dict[str, Raw] = {
    "a line without end": _repeat(b"x" * 65536),
    "lines without end": _repeat(b"hello\r\n" * 9000),
    "a line that drips": _repeat(b"x", pause=0.2),
    "bytes that are no text": _repeat(b"\xff\xfe\x80\n" * 9000),
    "a packet of 1 GiB": _repeat(b"x" * 65536, _VERSION + b"\x40\x00\x00\x0c\x05\x14"),
    "a packet of 4 GiB": _repeat(b"x" * 65536, _VERSION + b"\xff\xff\xff\xfc\x05\x14"),
    "an empty packet": _repeat(b"\x00" * 65536, _VERSION),
    "packets without end": _repeat((b"\x00\x00\x00\x0c\x0a\x02" + b"x" * 10) * 4000, _VERSION),
    "a packet that drips": _repeat(b"x", _VERSION + b"\x00\x00\x40\x00\x05\x14", pause=0.2),
    "nothing at all": _silent,
}
