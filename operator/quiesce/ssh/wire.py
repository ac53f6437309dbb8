"""The connection below the SSH library: what a host may send, and with which algorithms.

paramiko keeps everything that arrives: it has no limit for a packet, for lines before the
version, or for what a host sends beyond the window that it was given. Of what
answers at an address, the operator reads no more than is counted here.
"""

import socket
from collections.abc import Sequence

import paramiko
from paramiko.packet import Packetizer

BEFORE_LOGIN = 128 * 1024
"""Bytes: the key exchange and the login take about 5 KiB."""
_PACKET = 35000
"""Bytes of one packet (RFC 4253, 6.1); the window's packets are smaller (32 KiB)."""
_READ = 32 * 1024

# What OpenSSH's sshd offers by default (myproposal.h of 10.5), as far as paramiko has it, without
# SHA-1. Every sshd since 7.4 has some of each. Not Diffie-Hellman with numbers that the host
# chooses: a calculation with them holds up all threads.
_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
_MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
_KEY_EXCHANGES = (
    "mlkem768x25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
)
_HOST_KEYS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)


class Wire(socket.socket):
    """A connected socket that counts what it receives, and refuses more than `limit` bytes."""

    def __init__(self, connected: socket.socket, limit: int = BEFORE_LOGIN) -> None:
        family, kind, protocol = connected.family, connected.type, connected.proto
        super().__init__(family, kind, protocol, fileno=connected.detach())
        self.limit, self.received, self.overrun = limit, 0, False

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Raises SSHException once the host has sent too much."""
        found = super().recv(min(size, _READ), flags)
        self.received += len(found)
        if self.received > self.limit:
            self.refuse()
        return found

    def refuse(self) -> None:
        self.overrun = True
        raise paramiko.SSHException(f"it sent more than {self.limit} bytes")


class Packets(Packetizer):
    """Refuses a packet by the length that it claims: nothing is kept ready for it."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._wire = wire

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > _PACKET:
            self._wire.refuse()
        return super().read_all(n, check_rekey)


def restrict(transport: paramiko.Transport, pinned: Sequence[str]) -> None:
    """Offer the algorithms above, and first host keys of the `pinned` types, as OpenSSH's client
    does: a host may have several.
    """
    options = transport.get_security_options()
    options.ciphers = _known(_CIPHERS, options.ciphers)
    options.digests = _known(_MACS, options.digests)
    options.kex = _known(_KEY_EXCHANGES, options.kex)
    wanted = {*pinned, *(("rsa-sha2-512", "rsa-sha2-256") if "ssh-rsa" in pinned else ())}
    types = _known(_HOST_KEYS, options.key_types)
    options.key_types = tuple(sorted(types, key=lambda name: name not in wanted))


def _known(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in known)
