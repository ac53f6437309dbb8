"""The shared key pair and what is remembered of the ones before it, in two Secrets next to the keyring.

The key's Secret is the user's own, or made here. Whoever replaces the key in it begins a
rotation: the state Secret knows the key before, so that hosts go on letting it in until none uses it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from quiesce.api.keyring.spec import KeyringSpec
from quiesce.keyring.errors import BadMigrationKey, KeyNotManaged
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secrets
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import KeyPair, PublicKey, generate, read_pair, read_public

ROTATE = "quiesce.dev/rotateKey"
"""Annotation: any new value asks for a new key now."""
SSH_AUTH = "kubernetes.io/ssh-auth"
PRIVATE = "ssh-privatekey"
PUBLIC = "ssh-publickey"
CREATED = "created-at"
REQUEST = "rotate-request"


@dataclass(frozen=True, slots=True)
class State:
    """What the operator remembers of a keyring. `trusted`: lines of a known hosts file, pinned at first sight."""

    current: PublicKey | None = None
    previous: tuple[PublicKey, ...] = ()
    trusted: str = ""

    def now_with(self, key: PublicKey) -> "State":
        """The key is `key` from now on; the one before it is remembered."""
        if self.current is None or key == self.current:
            return replace(self, current=key)
        before = (*(old for old in self.previous if old not in (key, self.current)), self.current)
        return replace(self, current=key, previous=before)

    def as_data(self) -> dict[str, bytes]:
        keys = {
            "current": self.current.line if self.current else "",
            "previous": [old.line for old in self.previous],
        }
        return {"keys.json": json.dumps(keys).encode(), "known_hosts": self.trusted.encode()}


def read_state(data: Mapping[str, bytes], what: str) -> State:
    """Raises BadMigrationKey where somebody has damaged it."""
    try:
        keys = json.loads(data["keys.json"])
        current = read_public(keys["current"]) if keys["current"] else None
        return State(
            current, tuple(map(read_public, keys["previous"])), data["known_hosts"].decode()
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BadMigrationKey(
            f"{what} is damaged: delete it, and the operator makes it anew"
        ) from error


@dataclass(frozen=True, slots=True)
class Keys:
    """The present key pair with what is remembered. `made`: a new key was made in this very look."""

    pair: KeyPair
    state: State
    made: bool = False


class KeyStore:
    """Both Secrets of one keyring."""

    def __init__(self, secrets: Secrets, resource: Resource, spec: KeyringSpec) -> None:
        self._secrets, self._resource, self._spec = secrets, resource, spec
        self._namespace = resource.key.namespace
        self.key_name = spec.key.secret_name or f"{resource.key.name}-migration-key"
        self.state_name = f"{resource.key.name}-keyring-state"

    def state(self) -> State | None:
        """None: nothing was ever installed."""
        found = self._secrets.get(self._namespace, self.state_name)
        return (
            read_state(found.data, f"Secret {self._namespace}/{self.state_name}") if found else None
        )

    def keep(self, state: State) -> None:
        self._secrets.apply(
            self._namespace, self.state_name, state.as_data(), "Opaque", self._resource
        )

    def keys(self, now: datetime) -> Keys:
        """The pair to install, made or renewed if it is time for that; the state is kept before anybody uses it.

        Raises BadMigrationKey, KeyNotManaged, KubeError.
        """
        before = self.state() or State()
        found = self._secrets.get(self._namespace, self.key_name)
        data = found.data if found else None
        made = data is None or self._is_due(data, before, now)
        pair = self._make(now) if data is None or made else self._read(data)
        state = before.now_with(pair.public)
        if state != before:
            self.keep(state)
        return Keys(pair, state, made)

    def _read(self, data: Mapping[str, bytes]) -> KeyPair:
        what = f"Secret {self._namespace}/{self.key_name}, key {PRIVATE},"
        try:
            return read_pair(data.get(PRIVATE, b""), what)
        except BadKey as error:
            raise BadMigrationKey(
                f"{error}. Put one there, or delete the Secret: then one is made"
            ) from error

    def _is_due(self, data: Mapping[str, bytes], state: State, now: datetime) -> bool:
        """One rotation at a time: the next one begins when no host uses an older key."""
        asked = self._resource.annotations.get(ROTATE)
        rotate_after = self._spec.key.rotate_after
        if CREATED not in data:
            self._refuse_rotation(asked, rotate_after)
            return False
        if state.previous:
            return False
        if asked is not None and asked.encode() != data.get(REQUEST):
            return True
        return rotate_after is not None and now - _created(data) >= timedelta(seconds=rotate_after)

    def _refuse_rotation(self, asked: str | None, rotate_after: float | None) -> None:
        if asked is None and rotate_after is None:
            return
        raise KeyNotManaged(
            f"Secret {self._namespace}/{self.key_name} is not of the operator's making: to rotate, replace its "
            f"{PRIVATE}, and remove key.rotateAfter and the annotation {ROTATE}"
        )

    def _make(self, now: datetime) -> KeyPair:
        pair = generate(self._spec.key.type)
        asked = self._resource.annotations.get(ROTATE)
        data = {
            PRIVATE: pair.private.encode(),
            PUBLIC: f"{pair.public.line}\n".encode(),
            CREATED: now.astimezone(UTC).isoformat().encode(),
        }
        if asked is not None:
            data[REQUEST] = asked.encode()
        self._secrets.apply(self._namespace, self.key_name, data, SSH_AUTH, self._resource)
        return pair


def _created(data: Mapping[str, bytes]) -> datetime:
    """A time that cannot be read counts as long ago: then a new key is made."""
    try:
        return datetime.fromisoformat(data[CREATED].decode())
    except (ValueError, UnicodeDecodeError):
        return datetime.fromtimestamp(0, UTC)
