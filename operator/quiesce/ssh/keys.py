"""SSH keys by name: no key material is read here, and nothing shows a private key."""

import base64
import hashlib
import re
from dataclasses import dataclass, field

_KEY_TYPE = r"[A-Za-z0-9@._-]{1,64}"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """`type` and `base64` as in an OpenSSH public key line."""

    type: str
    base64: str

    @property
    def line(self) -> str:
        return f"{self.type} {self.base64}"

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it: `SHA256:` and 43 characters."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")

    @property
    def id(self) -> str:
        """12 hexadecimal digits that name the key in file names."""
        return hashlib.sha256(base64.b64decode(self.base64)).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`private` is the text of the private key file, newline at its end."""

    public: PublicKey
    private: str = field(repr=False)


def read_public(text: str) -> PublicKey:
    """`ssh-ed25519 AAAA… [comment]`. Raises ValueError."""
    kind, encoded, *_ = [*text.split(), "", ""]
    blob = base64.b64decode(encoded, validate=True)
    if (
        not re.fullmatch(_KEY_TYPE, kind)
        or int.from_bytes(blob[:4], "big") != len(kind)
        or blob[4 : 4 + len(kind)] != kind.encode()
    ):
        raise ValueError("not an OpenSSH public key")
    return PublicKey(kind, encoded)
