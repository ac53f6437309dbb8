"""What the operator offers to a host: read from its own first packet."""

import queue
import socket

import pytest
from paramiko import Message

from quiesce.ssh.errors import SSHError
from quiesce.ssh.session import Target, presented_key
from tests.security.hostile_host import listening

LISTS = ("kex", "host keys", "ciphers", "ciphers back", "macs", "macs back", "compression")

# KEX_SERVER_… of OpenSSH's myproposal.h: of 10.5 and of 7.4 (both at their release's tag).
NOW = {
    "kex": "mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,"
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
    "ecdh-sha2-nistp521",
    "host keys": "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,"
    "rsa-sha2-512,rsa-sha2-256",
    "ciphers": "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,"
    "aes128-ctr,aes192-ctr,aes256-ctr",
    "macs": "umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,"
    "hmac-sha2-512-etm@openssh.com,hmac-sha1-etm@openssh.com,umac-64@openssh.com,"
    "umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1",
    "compression": "none,zlib@openssh.com",
}
IN_7_4 = {
    "kex": "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"
    "ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"
    "diffie-hellman-group18-sha512,diffie-hellman-group14-sha256,diffie-hellman-group14-sha1",
    "host keys": "ecdsa-sha2-nistp256,ssh-ed25519,rsa-sha2-512,rsa-sha2-256,ssh-rsa",
    "ciphers": "chacha20-poly1305@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr,"
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com",
    "macs": NOW["macs"],
    "compression": "none,zlib@openssh.com",
}
MARKERS = {"ext-info-c", "kex-strict-c-v00@openssh.com"}
"""No algorithms: what the client says of itself in that list (RFC 8308, OpenSSH's PROTOCOL)."""
CERTIFICATE = "-cert-v01@openssh.com"


def offered() -> dict[str, set[str]]:
    found: queue.Queue[bytes] = queue.Queue()

    def serve(guest: socket.socket) -> None:
        guest.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
        stream = guest.makefile("rb")
        stream.readline()
        size = int.from_bytes(stream.read(4), "big")
        found.put(stream.read(size))

    with listening(serve) as port, pytest.raises(SSHError):
        presented_key(Target("cmp1", "127.0.0.1", port), 30.0)
    message = Message(found.get(timeout=30)[1:])
    message.get_bytes(17)
    return {name: set(message.get_list()) for name in LISTS}


@pytest.mark.finding("L6")
def test_only_what_openssh_offers_by_default_and_nothing_weak() -> None:
    lists = offered()
    for name, known in NOW.items():
        mine = {each.removesuffix(CERTIFICATE) for each in lists[name] - MARKERS}
        assert mine and mine <= set(known.split(",")), name
    every = {each for names in lists.values() for each in names}
    assert not [each for each in every if "sha1" in each or "md5" in each or "cbc" in each]


@pytest.mark.finding("L6")
@pytest.mark.parametrize("server", [NOW, IN_7_4])
def test_an_sshd_with_its_defaults_is_understood(server: dict[str, str]) -> None:
    lists = offered()
    assert all(lists[name] & set(known.split(",")) for name, known in server.items())
    for kind in ("ssh-ed25519", "rsa-sha2-256", "ecdsa-sha2-nistp256"):
        assert kind in lists["host keys"], "a host may have one key only"
