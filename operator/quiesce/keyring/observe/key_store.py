"""The shared key pair, and what is remembered of earlier ones, in two Secrets next to the keyring.

The key's Secret is the user's own, or generated here. Replacing the key in it begins a rotation:
the history still has the earlier key, so that hosts accept it until none uses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quiesce.api.annotations import ROTATE_KEY
from quiesce.api.keyring.spec import KeyringSpec
from quiesce.compute.access import stored_pins
from quiesce.keyring.errors import BadMigrationKey, KeyNotManaged
from quiesce.keyring.model import KeyHistory
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secrets
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import KeyPair, generate, read_pair
from quiesce.ssh.pins import Pins

_SSH_AUTH = "kubernetes.io/ssh-auth"
_PRIVATE = "ssh-privatekey"
_PUBLIC = "ssh-publickey"
_CREATED = "created-at"
_REQUEST = "rotate-request"


@dataclass(frozen=True, slots=True)
class Keys:
    """The current key pair and its history. `generated`: a new key was made in this very tick."""

    pair: KeyPair
    history: KeyHistory
    generated: bool = False


class KeyStore:
    """Both Secrets of one keyring."""

    def __init__(self, secrets: Secrets, resource: Resource, spec: KeyringSpec) -> None:
        self._secrets, self._resource, self._spec = secrets, resource, spec
        self._namespace = resource.key.namespace
        self.key_name = spec.key.secret_name or f"{resource.key.name}-migration-key"
        self.history_name = f"{resource.key.name}-keyring-state"

    def history(self) -> KeyHistory | None:
        """None: nothing was ever installed. Raises BadMigrationKey, KubeError."""
        found = self._secrets.get(self._namespace, self.history_name)
        what = f"Secret {self._namespace}/{self.history_name}"
        return KeyHistory.read(found.data, what) if found else None

    def save(self, history: KeyHistory) -> None:
        self._secrets.apply(
            self._namespace, self.history_name, history.as_data(), "Opaque", self._resource
        )

    def trusted_pins(self, history: KeyHistory) -> Pins:
        """The host keys pinned on first use; none while the spec trusts no first key.

        Raises BadHostAccess.
        """
        if not self._spec.host_access.trust_on_first_use:
            return Pins()
        return stored_pins(history.trusted, f"Secret {self._namespace}/{self.history_name}")

    def ensure_keys(self, now: datetime) -> Keys:
        """The pair to install, generated or rotated if that is due.

        The history is saved before any host uses the pair.
        Raises BadMigrationKey, KeyNotManaged, KubeError.
        """
        before = self.history() or KeyHistory()
        found = self._secrets.get(self._namespace, self.key_name)
        data = found.data if found else None
        generated = data is None or self._is_due(data, before, now)
        pair = self._generate(now) if data is None or generated else self._read(data)
        history = before.with_current(pair.public)
        if history != before:
            self.save(history)
        return Keys(pair, history, generated)

    def _read(self, data: Mapping[str, bytes]) -> KeyPair:
        what = f"Secret {self._namespace}/{self.key_name}, key {_PRIVATE},"
        try:
            return read_pair(data.get(_PRIVATE, b""), what)
        except BadKey as error:
            raise BadMigrationKey(
                f"{error}. Put one there, or delete the Secret: then the operator generates one"
            ) from error

    def _is_due(self, data: Mapping[str, bytes], history: KeyHistory, now: datetime) -> bool:
        """One rotation at a time: the next one begins when no host uses an earlier key."""
        requested = self._resource.annotations.get(ROTATE_KEY)
        rotate_after = self._spec.key.rotate_after
        if _CREATED not in data:
            self._refuse_rotation(requested, rotate_after)
            return False
        if history.previous:
            return False
        if requested is not None and requested.encode() != data.get(_REQUEST):
            return True
        return rotate_after is not None and now - _created(data) >= timedelta(seconds=rotate_after)

    def _refuse_rotation(self, requested: str | None, rotate_after: float | None) -> None:
        if requested is None and rotate_after is None:
            return
        raise KeyNotManaged(
            f"the key in Secret {self._namespace}/{self.key_name} is your own: to rotate it, "
            f"replace its {_PRIVATE}; remove key.rotateAfter and the annotation {ROTATE_KEY}"
        )

    def _generate(self, now: datetime) -> KeyPair:
        pair = generate(self._spec.key.type)
        requested = self._resource.annotations.get(ROTATE_KEY)
        data = {
            _PRIVATE: pair.private.encode(),
            _PUBLIC: f"{pair.public.line}\n".encode(),
            _CREATED: now.astimezone(UTC).isoformat().encode(),
        }
        if requested is not None:
            data[_REQUEST] = requested.encode()
        self._secrets.apply(self._namespace, self.key_name, data, _SSH_AUTH, self._resource)
        return pair


def _created(data: Mapping[str, bytes]) -> datetime:
    """A time that cannot be read counts as long ago: then a new key is generated. One without a
    zone is in UTC."""
    try:
        found = datetime.fromisoformat(data[_CREATED].decode())
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, UnicodeDecodeError):
        return datetime.fromtimestamp(0, UTC)
