"""The shared key pair, and what is remembered of earlier ones, in two Secrets next to the keyring.

The key's Secret is the user's own, or generated here. Replacing the key in it begins a rotation:
the history still has the earlier key, so that hosts accept it until none uses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from quiesce.api.annotations import ROTATE_KEY, request
from quiesce.api.keyring.spec import KeyringSpec
from quiesce.api.labels import HOST_LOGIN, MIGRATION_KEY, not_released
from quiesce.compute.access import stored_pins
from quiesce.keyring.errors import BadMigrationKey, KeyNotManaged
from quiesce.keyring.model import KeyHistory
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secret, Secrets
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import KeyPair, PublicKey
from quiesce.ssh.pins import Pins

_SSH_AUTH = "kubernetes.io/ssh-auth"
_PRIVATE = "ssh-privatekey"
_PUBLIC = "ssh-publickey"
_CREATED = "created-at"
_REQUEST = "rotate-request"


@dataclass(frozen=True, slots=True)
class Keys:
    """The current key pair and its history. `generated`: a new key was made in this very tick.

    `remembered`: the history was stored; False: it begins in this very tick.
    """

    pair: KeyPair
    history: KeyHistory
    generated: bool = False
    remembered: bool = True


def secrets_by_default(name: str) -> tuple[str, str]:
    """The names of the key's Secret and of the history's, for a keyring of this name."""
    return f"{name}-migration-key", f"{name}-keyring-state"


class KeyStore:
    """Both Secrets of one keyring."""

    def __init__(self, secrets: Secrets, resource: Resource, spec: KeyringSpec) -> None:
        self._secrets, self._resource, self._spec = secrets, resource, spec
        self._namespace = resource.key.namespace
        default, self.history_name = secrets_by_default(resource.key.name)
        self.key_name = spec.key.secret_name or default

    def history(self) -> KeyHistory | None:
        """None: there is none. Raises BadMigrationKey, ForeignSecret, KubeError."""
        found = self._secrets.own(self._resource, self.history_name)
        if found is None:
            return None
        if not self._resource.deleting:
            self._secrets.keep(self._resource, found)
        return KeyHistory.read(found.data, f"Secret {self._namespace}/{self.history_name}")

    def save(self, history: KeyHistory) -> None:
        self._secrets.save(self._resource, self.history_name, history.as_data(), "Opaque")

    def trusted_pins(self, history: KeyHistory) -> Pins:
        """The host keys pinned on first use; none while the spec trusts no first key.

        Raises BadHostAccess.
        """
        if not self._spec.host_access.trust_on_first_use:
            return Pins()
        return stored_pins(history.trusted, f"Secret {self._namespace}/{self.history_name}")

    def ensure_keys(self, now: datetime, login: PublicKey) -> Keys:
        """The pair to install, generated or rotated if that is due; never the key `login`.

        The history is saved before any host uses the pair.
        Raises BadMigrationKey, KeyNotManaged, ForeignSecret, KubeError.
        """
        stored = self.history()
        before = stored or KeyHistory()
        found = self._found()
        generated = found is None or self._is_due(found, before, now)
        pair = self._generate(now) if found is None or generated else self._read(found.data)
        if pair.public == login:
            raise BadMigrationKey(
                f"Secret {self._namespace}/{self.key_name} holds the operator's own login key, "
                "which no host may get: put another key there, or remove key.secretName"
            )
        history = before.with_current(pair.public)
        if history != before:
            self.save(history)
        return Keys(pair, history, generated, remembered=stored is not None)

    def _found(self) -> Secret | None:
        """The key's Secret, where it may be copied to hosts: made here, or released for that."""
        if self.key_name == self._spec.host_access.private_key_secret_ref.name:
            raise BadMigrationKey(
                f"Secret {self._namespace}/{self.key_name} is the one of the operator's own login "
                "key (hostAccess.privateKeySecretRef), which no host may get: name another one in "
                "key.secretName, or remove that"
            )
        if self.key_name == self.history_name:
            raise BadMigrationKey(
                f"Secret {self._namespace}/{self.key_name} is where the operator keeps what it "
                "remembers of this keyring: name another one in key.secretName, or remove that"
            )
        found = self._secrets.get(self._namespace, self.key_name)
        if found is None:
            return None
        if found.made_for(self._resource.uid):
            self._secrets.keep(self._resource, found)
            return found
        if found.is_going:
            self._secrets.own(self._resource, self.key_name)
        self._check_released(found)
        return found

    def _check_released(self, found: Secret) -> None:
        what = f"Secret {found.namespace}/{found.name}"
        if found.type != _SSH_AUTH:
            raise BadMigrationKey(
                f"{what} is of type {found.type}: a key of your own is in one of type {_SSH_AUTH} "
                f"with the label {MIGRATION_KEY}=true"
            )
        if found.allows(HOST_LOGIN):
            raise BadMigrationKey(
                f"{what} has the label {HOST_LOGIN}: a key for the operator's logins is not copied "
                "to hosts. Name another one in key.secretName"
            )
        if not found.allows(MIGRATION_KEY):
            raise BadMigrationKey(not_released(found.namespace, found.name, MIGRATION_KEY))

    def _read(self, data: Mapping[str, bytes]) -> KeyPair:
        what = f"Secret {self._namespace}/{self.key_name}, key {_PRIVATE},"
        from quiesce.ssh.private_keys import read_pair

        try:
            return read_pair(data.get(_PRIVATE, b""), what)
        except BadKey as error:
            raise BadMigrationKey(
                f"{error}. Put one there, or delete the Secret: then the operator generates one"
            ) from error

    def _is_due(self, found: Secret, history: KeyHistory, now: datetime) -> bool:
        """One rotation at a time: the next one begins when no host uses an earlier key."""
        requested, data = request(self._resource.annotations, ROTATE_KEY), found.data
        rotate_after = self._spec.key.rotate_after
        if _CREATED not in data or not found.made_for(self._resource.uid):
            self._refuse_rotation(requested, rotate_after)
            return False
        if history.previous:
            return False
        if requested is not None and requested.encode() != data.get(_REQUEST):
            return True
        age = abs(now - _created(data))  # one of the future: the clock was set back since
        return rotate_after is not None and age >= timedelta(seconds=rotate_after)

    def _refuse_rotation(self, requested: str | None, rotate_after: float | None) -> None:
        if requested is None and rotate_after is None:
            return
        raise KeyNotManaged(
            f"the key in Secret {self._namespace}/{self.key_name} is your own: to rotate it, "
            f"replace its {_PRIVATE}; remove key.rotateAfter and the annotation {ROTATE_KEY}"
        )

    def _generate(self, now: datetime) -> KeyPair:
        from quiesce.ssh.private_keys import generate

        pair = generate(self._spec.key.type)
        requested = request(self._resource.annotations, ROTATE_KEY)
        data = {
            _PRIVATE: pair.private.encode(),
            _PUBLIC: f"{pair.public.line}\n".encode(),
            _CREATED: now.astimezone(UTC).isoformat().encode(),
        }
        if requested is not None:
            data[_REQUEST] = requested.encode()
        self._secrets.save(self._resource, self.key_name, data, _SSH_AUTH)
        return pair


def _created(data: Mapping[str, bytes]) -> datetime:
    """A time that cannot be read counts as long ago: then a new key is generated. One without a
    zone is in UTC."""
    try:
        found = datetime.fromisoformat(data[_CREATED].decode())
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, UnicodeDecodeError):
        return datetime.fromtimestamp(0, UTC)
