"""The operator's own way into a host: login key and pinned host keys, from the objects that a spec names."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from quiesce.api.keyring import HostAccess, Hosts, KeyringSpec, ObjectKind
from quiesce.keyring.errors import BadHostAccess
from quiesce.keyring.hosts import Hypervisor, compute_hosts
from quiesce.keyring.keys import KeyStore
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secrets
from quiesce.ssh.errors import BadKey
from quiesce.ssh.keys import login_key
from quiesce.ssh.pins import Pins, read_pins
from quiesce.ssh.session import Login, Session, Target, connect

SESSION_SECONDS = 120.0
"""Stopping nova-compute may take a while: systemd itself gives a unit 90 s (DefaultTimeoutStopSec)."""


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
        raise BadHostAccess(f"{what} does not exist: put the hosts' public keys there, as in a known_hosts file")
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
    where = f"Secret {resource.key.namespace}/{store.state_name}"
    try:
        return read_pins(state.trusted if state else "", where)
    except BadKey as error:
        raise BadHostAccess(f"{error}. It is the operator's own: delete it to pin the hosts' keys anew") from error


@contextmanager
def keyring_session(secrets: Secrets, keyring: Resource, hypervisors: Iterable[Hypervisor], host: str) -> Iterator[Session]:
    """A session on `host` as a keyring logs in. Raises Problem, KubeError, SSHError."""
    spec, namespace = KeyringSpec.read(keyring.spec), keyring.key.namespace
    given = given_pins(secrets, namespace, spec.host_access)
    pins = Pins(given.pins + trusted_pins(secrets, keyring, spec).pins, given.revoked)
    # A host that takes no part in the keyring can be reached all the same.
    places = spec.hosts.model_copy(update={"exclude": ()})
    with host_session(secrets, namespace, spec.host_access, pins, hypervisors, places, host) as session:
        yield session


@contextmanager
def access_session(
    secrets: Secrets, namespace: str, access: HostAccess, hypervisors: Iterable[Hypervisor], host: str
) -> Iterator[Session]:
    """A session on `host` by a `hostAccess` alone; its key has to be pinned. Raises Problem, KubeError, SSHError."""
    pins = given_pins(secrets, namespace, access)
    with host_session(secrets, namespace, access, pins, hypervisors, Hosts(), host) as session:
        yield session


@contextmanager
def host_session(
    secrets: Secrets,
    namespace: str,
    access: HostAccess,
    pins: Pins,
    hypervisors: Iterable[Hypervisor],
    places: Hosts,
    host: str,
) -> Iterator[Session]:
    found = next((each for each in compute_hosts(hypervisors, places) if each.name == host), None)
    # Once its service is deleted Nova shows no hypervisor any more; then the spec's address counts, or the name.
    address = found.address if found else places.addresses.get(host, host)
    names = found.names if found else (host, address)
    target = Target(host, address, access.port)
    pinned = pins.of(names, access.port)
    with connect(target, host_login(secrets, namespace, access), pinned, pins.revoked, SESSION_SECONDS) as session:
        yield session
