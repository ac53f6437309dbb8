"""As whom the operator logs in to a host."""

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quiesce.ssh.keys import PublicKey

if TYPE_CHECKING:
    import paramiko


@dataclass(frozen=True, slots=True)
class Login:
    """`sudo`: commands run through `sudo -n`."""

    user: str
    key: "paramiko.PKey" = field(repr=False)
    sudo: bool = False

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(self.key.get_name(), self.key.get_base64())


def login_key(private: bytes, what: str) -> "paramiko.PKey":
    """A private key file (OpenSSH or PEM); `what` names it in messages. Raises BadKey."""
    import paramiko

    from quiesce.ssh.private_keys import read_pair_normalized

    pair = read_pair_normalized(private, what)
    text = io.StringIO(pair.private)
    match pair.public.type:
        case "ssh-ed25519":
            return paramiko.Ed25519Key.from_private_key(text)
        case "ssh-rsa":
            return paramiko.RSAKey.from_private_key(text)
        case _:
            return paramiko.ECDSAKey.from_private_key(text)
