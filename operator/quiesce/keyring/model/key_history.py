"""PURE. What the operator remembers of a keyring's keys, in the Secret `NAME-keyring-state`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from quiesce.keyring.errors import BadMigrationKey
from quiesce.ssh.keys import PublicKey, read_public


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """`trusted`: lines of a known_hosts file, pinned on first use."""

    current: PublicKey | None = None
    previous: tuple[PublicKey, ...] = ()
    trusted: str = ""

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """The current one first."""
        return (*((self.current,) if self.current else ()), *self.previous)

    def with_current(self, key: PublicKey) -> "KeyHistory":
        """The key is `key` from now on; the one before it is remembered."""
        if self.current is None or key == self.current:
            return replace(self, current=key)
        before = (*(old for old in self.previous if old not in (key, self.current)), self.current)
        return replace(self, current=key, previous=before)

    def as_data(self) -> dict[str, bytes]:
        """As the data of a Secret: what `read` takes back."""
        keys = {
            "current": self.current.line if self.current else "",
            "previous": [old.line for old in self.previous],
        }
        return {"keys.json": json.dumps(keys).encode(), "known_hosts": self.trusted.encode()}

    @classmethod
    def read(cls, data: Mapping[str, bytes], what: str) -> "KeyHistory":
        """Raises BadMigrationKey where it is damaged; `what` names the Secret."""
        try:
            keys = json.loads(data["keys.json"])
            current = read_public(keys["current"]) if keys["current"] else None
            previous = tuple(map(read_public, keys["previous"]))
            return cls(current, previous, data["known_hosts"].decode())
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadMigrationKey(
                f"{what} is damaged: delete it, and the operator creates it again"
            ) from error
