"""How a host is reached: the operator's login key, the hosts' pinned keys, and first use."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from quiesce.api.errors import BadHostAccess
from quiesce.api.host import Become, HostAccess, ObjectKind
from quiesce.api.labels import HOST_LOGIN, not_released
from quiesce.compute.hosts import Hypervisor, compute_hosts
from quiesce.kube.errors import KubeForbidden
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secrets
from quiesce.ops.places import Places
from quiesce.ssh.errors import BadKey, TooManySessions
from quiesce.ssh.keys import PublicKey
from quiesce.ssh.login import Login, login_key
from quiesce.ssh.pins import HostKeys, Pins, read_pins, trusted_line
from quiesce.ssh.session import Session, Target, connect, presented_key, refuse_revoked

SESSION_SECONDS = 120.0
"""Stopping nova-compute may take a while: systemd gives a unit 90 s (DefaultTimeoutStopSec)."""
_SESSIONS = Places(4, 2)
"""Of all drains, and of those of one namespace: fewer than there are workers (--workers)."""
_KNOWN_HOSTS = "known_hosts"
"""The key in our own Secrets that holds lines of a known_hosts file."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host is reached, and every name under which its key may be pinned."""

    target: Target
    names: tuple[str, ...]


def login_of(secrets: Secrets, namespace: str, access: HostAccess) -> Login:
    """The operator's own login to hosts. Raises BadHostAccess, KubeError."""
    ref = access.private_key_secret_ref
    what = f"Secret {namespace}/{ref.name}, key {ref.key},"
    found = secrets.get(namespace, ref.name)
    if found is None or ref.key not in found.data:
        raise BadHostAccess(f"{what} does not exist: put the operator's private login key there")
    if not found.allows(HOST_LOGIN):
        raise BadHostAccess(not_released(namespace, ref.name, HOST_LOGIN))
    try:
        key = login_key(found.data[ref.key], what)
    except BadKey as error:
        raise BadHostAccess(str(error)) from error
    return Login(access.user, key, sudo=access.become is Become.SUDO)


def pins_of(secrets: Secrets, namespace: str, access: HostAccess) -> Pins:
    """The host keys that the user has pinned; none without a reference.

    Raises BadHostAccess, KubeError.
    """
    ref = access.known_hosts_ref
    if ref is None:
        return Pins()
    what = f"{ref.kind} {namespace}/{ref.name}, key {ref.key}"
    text = _text(secrets, namespace, ref.kind, ref.name, ref.key)
    if text is None:
        raise BadHostAccess(
            f"{what} does not exist: put the hosts' public keys there, as in a known_hosts file"
        )
    try:
        return read_pins(text, what)
    except BadKey as error:
        raise BadHostAccess(str(error)) from error


def stored_pins(text: str, where: str) -> Pins:
    """Host keys that the operator stored itself. Raises BadHostAccess where they are damaged."""
    try:
        return read_pins(text, where)
    except BadKey as error:
        raise BadHostAccess(
            f"{error}. The operator wrote it: delete it to pin the hosts' keys again"
        ) from error


def place_of(
    host: str,
    port: int,
    hypervisors: Iterable[Hypervisor],
    addresses: Mapping[str, str],
    exclude: Iterable[str] = (),
) -> Place:
    """`addresses`: host -> where it is reached, instead of Nova's `host_ip`. `exclude`: other hosts
    whose claims to names and addresses do not count.

    A host of which Nova lists no hypervisor is reached at its address there, or by its name.
    """
    listed = compute_hosts(hypervisors, addresses, {*exclude} - {host})
    found = next((each for each in listed if each.name == host), None)
    address = found.address if found else addresses.get(host, host)
    return Place(Target(host, address, port), found.names if found else (host, address))


@contextmanager
def host_session(
    secrets: Secrets,
    owner: Resource,
    access: HostAccess,
    hypervisors: Iterable[Hypervisor],
    host: str,
    *,
    met: bool = False,
) -> Iterator[Session]:
    """A session on `host` by a `hostAccess`. Raises Problem, KubeError, SSHError.

    Where no key of the host is pinned and the spec trusts the first one, that is stored in a Secret
    made for `owner` before anything is sent to the host; the Secret is deleted after its owner.
    `met`: the host was logged in to before, so no key is the first one: that which was stored
    counts, and where it is lost, another machine may answer.
    """
    namespace = owner.key.namespace
    login, given = login_of(secrets, namespace, access), pins_of(secrets, namespace, access)
    store = _FirstUse(secrets, owner)
    keys = HostKeys(given, store.pins() if access.trust_on_first_use else Pins())
    place = place_of(host, access.port, hypervisors, {})
    pinned = keys.of(host, place.names, access.port)
    with session_of(namespace):
        if not pinned and access.trust_on_first_use and not met and host in place.names:
            pinned = (presented_key(place.target, SESSION_SECONDS),)
            refuse_revoked(pinned[0], keys.revoked)
            store.save(host, access.port, pinned[0])
        with connect(place.target, login, pinned, keys.revoked, SESSION_SECONDS) as session:
            yield session


@contextmanager
def session_of(namespace: str) -> Iterator[None]:
    """One of the sessions that drains may have at a time. Raises TooManySessions.

    A drain works on its host within its reconciliation, so a host that hardly answers holds up a
    worker: it must not hold up all of them.
    """
    with _SESSIONS.held(namespace) as entered:
        if not entered:
            raise TooManySessions(
                f"drains of {namespace} have as many SSH sessions open as they may: tried again"
            )
        yield


def host_key_secret(owner: Resource) -> str:
    """The name of the Secret with the host key that was trusted on first use."""
    return f"{owner.key.name}-host-key"


class _FirstUse:
    """The host key that was trusted on first use, in the Secret `NAME-host-key`, under the host of
    its service alone: any other name could be another host's.

    It is never changed by itself.
    """

    def __init__(self, secrets: Secrets, owner: Resource) -> None:
        self._secrets, self._owner = secrets, owner
        self._namespace, self._name = owner.key.namespace, host_key_secret(owner)

    def pins(self) -> Pins:
        """None before the first use. Raises ForeignSecret, BadHostAccess where it is damaged."""
        found = self._secrets.own(self._owner, self._name)
        if found is not None and not self._owner.deleting:
            self._secrets.keep(self._owner, found)
        text = found.data.get(_KNOWN_HOSTS, b"").decode(errors="replace") if found else ""
        return stored_pins(text, f"Secret {self._namespace}/{self._name}")

    def save(self, host: str, port: int, key: PublicKey) -> None:
        """Raises BadHostAccess where the operator's own rights do not allow it."""
        line = trusted_line(host, port, key)
        try:
            self._secrets.save(self._owner, self._name, {_KNOWN_HOSTS: line.encode()}, "Opaque")
        except KubeForbidden as error:
            raise BadHostAccess(
                f"the host's key cannot be stored: {error}. Pin it with knownHostsRef, or bind the "
                "ClusterRole quiesce-keyrings to the operator"
            ) from error


def _text(secrets: Secrets, namespace: str, kind: ObjectKind, name: str, key: str) -> str | None:
    if kind is ObjectKind.CONFIG_MAP:
        return (secrets.config_map(namespace, name) or {}).get(key)
    found = secrets.get(namespace, name)
    data = found.data.get(key) if found else None
    return None if data is None else data.decode(errors="replace")
