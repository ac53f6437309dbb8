"""How a keyring logs in to hosts. A drain with `keyringRef` logs in the same way."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from quiesce.api.keyring.spec import KeyringSpec
from quiesce.compute.access import SESSION_SECONDS, login_of, pins_of, place_of, session_of
from quiesce.compute.hosts import Hypervisor
from quiesce.keyring.model import KeyHistory
from quiesce.keyring.observe import KeyStore
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secrets
from quiesce.ssh.pins import HostKeys
from quiesce.ssh.session import Session, connect


@contextmanager
def keyring_session(
    secrets: Secrets, keyring: Resource, hypervisors: Iterable[Hypervisor], host: str
) -> Iterator[Session]:
    """A session on `host` as a keyring logs in. Raises Problem, KubeError, SSHError.

    A host that is excluded from the keyring is reached as well.
    """
    spec, namespace = KeyringSpec.read(keyring.spec), keyring.key.namespace
    access = spec.host_access
    login, given = login_of(secrets, namespace, access), pins_of(secrets, namespace, access)
    store = KeyStore(secrets, keyring, spec)
    keys = HostKeys(given, store.trusted_pins(store.history() or KeyHistory()))
    place = place_of(host, access.port, hypervisors, spec.hosts.addresses, spec.hosts.exclude)
    pinned = keys.of(host, place.names, access.port)
    with (
        session_of(namespace),
        connect(place.target, login, pinned, keys.revoked, SESSION_SECONDS) as session,
    ):
        yield session
