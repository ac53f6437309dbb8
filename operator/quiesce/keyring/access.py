"""The operator's own way into a host: login key and pinned host keys, from the objects that a spec names."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from quiesce.api.keyring.spec import HostAccess, Hosts, KeyringSpec, ObjectKind
from quiesce.keyring.errors import BadHostAccess
from quiesce.keyring.hosts import Hypervisor, compute_hosts
from quiesce.keyring.keys import KeyStore
from quiesce.kube.errors import KubeForbidden
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secrets
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import PublicKey, login_key
from quiesce.ssh.pins import Pins, read_pins, spelled
from quiesce.ssh.session import Login, Session, Target, connect, presented_key

SESSION_SECONDS = 120.0
"""Stopping nova-compute may take a while: systemd itself gives a unit 90 s (DefaultTimeoutStopSec)."""
KNOWN_HOSTS = "known_hosts"
"""The key in our own Secrets that holds lines of a known hosts file."""


def host_login(secrets: Secrets, namespace: str, access: HostAccess) -> Login:
    """The operator's own login to hosts. Raises BadHostAccess."""
    ref = access.private_key_secret_ref
    what = f"Secret {namespace}/{ref.name}, key {ref.key},"
    found = secrets.get(namespace, ref.name)
    if found is None or ref.key not in found.data:
        raise BadHostAccess(f"{what} does not exist: put the operator's private login key there")
    try:
        key = login_key(found.data[ref.key], what)
    except BadKey as error:
        raise BadHostAccess(str(error)) from error
    return Login(access.user, key, sudo=access.become == "Sudo")


def given_pins(secrets: Secrets, namespace: str, access: HostAccess) -> Pins:
    """The host keys that the user has pinned; none without a reference. Raises BadHostAccess."""
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


def _text(secrets: Secrets, namespace: str, kind: ObjectKind, name: str, key: str) -> str | None:
    if kind is ObjectKind.CONFIG_MAP:
        return (secrets.config_map(namespace, name) or {}).get(key)
    found = secrets.get(namespace, name)
    data = found.data.get(key) if found else None
    return None if data is None else data.decode(errors="replace")


def trusted_pins(secrets: Secrets, resource: Resource, spec: KeyringSpec) -> Pins:
    """The host keys that a keyring has pinned by itself, where its spec lets it."""
    store = KeyStore(secrets, resource, spec)
    state = store.state()
    return _own_pins(
        state.trusted if state else "", f"Secret {resource.key.namespace}/{store.state_name}"
    )


def _own_pins(text: str, where: str) -> Pins:
    try:
        return read_pins(text, where)
    except BadKey as error:
        raise BadHostAccess(
            f"{error}. It is the operator's own: delete it to pin the hosts' keys anew"
        ) from error


@contextmanager
def keyring_session(
    secrets: Secrets, keyring: Resource, hypervisors: Iterable[Hypervisor], host: str
) -> Iterator[Session]:
    """A session on `host` as a keyring logs in. Raises Problem, KubeError, SSHError."""
    spec, namespace = KeyringSpec.read(keyring.spec), keyring.key.namespace
    login, given = (
        host_login(secrets, namespace, spec.host_access),
        given_pins(secrets, namespace, spec.host_access),
    )
    pins = Pins(given.pins + trusted_pins(secrets, keyring, spec).pins, given.revoked)
    # A host that takes no part in the keyring can be reached all the same.
    way = _way(
        spec.hosts.model_copy(update={"exclude": ()}), spec.host_access.port, hypervisors, host
    )
    pinned = pins.of(way.names, way.target.port)
    with connect(way.target, login, pinned, pins.revoked, SESSION_SECONDS) as session:
        yield session


@contextmanager
def drain_session(
    secrets: Secrets,
    drain: Resource,
    access: HostAccess,
    hypervisors: Iterable[Hypervisor],
    host: str,
) -> Iterator[Session]:
    """A session on `host` by a drain's own `hostAccess`. Raises Problem, KubeError, SSHError.

    Where no key of the host is pinned and the spec trusts the first one, that is kept in a Secret of the drain's
    before anything is sent to the host; it goes with the drain.
    """
    namespace = drain.key.namespace
    login, given = host_login(secrets, namespace, access), given_pins(secrets, namespace, access)
    store = FirstUse(secrets, drain)
    pins = Pins(given.pins + store.pins().pins, given.revoked)
    way = _way(Hosts(), access.port, hypervisors, host)
    pinned = pins.of(way.names, access.port)
    if not pinned and access.trust_on_first_use:
        pinned = (presented_key(way.target, SESSION_SECONDS),)
        store.keep(way.names, access.port, pinned[0])
    with connect(way.target, login, pinned, pins.revoked, SESSION_SECONDS) as session:
        yield session


class FirstUse:
    """The host key that a drain trusted at first sight, in the Secret `NAME-host-key`. It is never changed by itself."""

    def __init__(self, secrets: Secrets, drain: Resource) -> None:
        self._secrets, self._drain = secrets, drain
        self._namespace, self._name = drain.key.namespace, f"{drain.key.name}-host-key"

    def pins(self) -> Pins:
        """None before the first use. Raises BadHostAccess where somebody has damaged it."""
        found = self._secrets.get(self._namespace, self._name)
        text = found.data.get(KNOWN_HOSTS, b"").decode(errors="replace") if found else ""
        return _own_pins(text, f"Secret {self._namespace}/{self._name}")

    def keep(self, names: Iterable[str], port: int, key: PublicKey) -> None:
        """Raises BadHostAccess where the operator's own rights do not reach that far."""
        line = f"{','.join(spelled(name, port) for name in names)} {key.line}\n"
        try:
            self._secrets.apply(
                self._namespace, self._name, {KNOWN_HOSTS: line.encode()}, "Opaque", self._drain
            )
        except KubeForbidden as error:
            remedy = "pin the host's key with knownHostsRef, or bind the ClusterRole quiesce-keyrings to the operator"
            raise BadHostAccess(f"the host's key cannot be kept: {error}: {remedy}") from error


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a host is reached, and every name under which its key may be pinned."""

    target: Target
    names: tuple[str, ...]


def _way(places: Hosts, port: int, hypervisors: Iterable[Hypervisor], host: str) -> _Way:
    found = next((each for each in compute_hosts(hypervisors, places) if each.name == host), None)
    # A host that Nova shows no hypervisor of: the spec's address counts, or the name.
    address = found.address if found else places.addresses.get(host, host)
    return _Way(Target(host, address, port), found.names if found else (host, address))
