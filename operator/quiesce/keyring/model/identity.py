"""PURE. How a keyring marks what it installs, so that it finds exactly that again."""

import hashlib
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """Namespace and name of a keyring; neither has a dot, so that no tag is a prefix of another.

    `mark`: 8 hexadecimal digits that differ for the keyring of that name in another cluster. Empty:
    as earlier versions named what they installed.
    """

    namespace: str
    name: str
    mark: str = ""

    @classmethod
    def of(cls, namespace: str, name: str, uid: str) -> "Identity":
        """`uid`: of the resource."""
        return cls(namespace, name, hashlib.sha256(uid.encode()).hexdigest()[:8])

    @property
    def unmarked(self) -> "Identity":
        """The same keyring, as earlier versions named what they installed."""
        return Identity(self.namespace, self.name)

    @property
    def marker(self) -> str:
        """Ends each of our lines in shared files: a comment there for OpenSSH."""
        return "quiesce:" + "/".join(self._parts)

    @property
    def tag(self) -> str:
        """Begins the name of each of our own files."""
        return "quiesce." + ".".join(self._parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        return (self.namespace, self.name, *((self.mark,) if self.mark else ()))

    @property
    def config(self) -> str:
        """Our file of ssh client settings, in the account's `.ssh`."""
        return f"{self.tag}.conf"

    @property
    def include(self) -> str:
        """Our one line in the account's ssh config."""
        return f"Include {self.config}"

    def key_file(self, key_id: str) -> str:
        return f"{self.tag}.{key_id}"

    def key_id(self, file: str) -> str | None:
        """The key that one of our private key files holds, by its name."""
        match = re.fullmatch(re.escape(self.tag) + r"\.([0-9a-f]{12})", file)
        return match and match[1]

    def owns(self, file: str) -> bool:
        return file == self.config or self.key_id(file.removesuffix(".pub")) is not None

    @property
    def by_hand(self) -> str:
        """How a person removes from a host what this keyring has installed there."""
        return (
            f"delete the files {self.tag}.* in .ssh of the migration account, and the lines with "
            f"{self.marker} or {self.config} in authorized_keys and config there and in the "
            "known hosts file"
        )
