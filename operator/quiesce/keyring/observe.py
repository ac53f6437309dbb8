"""What a look begins with, besides the hosts themselves: access, pinned keys, Nova's list of hosts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from quiesce.api.errors import BadCredentials
from quiesce.api.keyring.spec import KeyringSpec
from quiesce.keyring.access import given_pins, host_login, trusted_pins
from quiesce.keyring.errors import NoHosts
from quiesce.keyring.hosts import ComputeHost, compute_hosts
from quiesce.keyring.identity import Identity
from quiesce.keyring.keys import Keys, KeyStore, State
from quiesce.keyring.wanted import Place, Wanted, place, wanted
from quiesce.kube.resource import Resource
from quiesce.kube.secrets import Secrets
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import Service
from quiesce.openstack.session import Clouds
from quiesce.ssh.pins import Pins
from quiesce.ssh.session import Login, Target


@dataclass(frozen=True)
class Inputs:
    """Everything that is the same for all hosts of one look. `keys` None: the keyring is being removed."""

    spec: KeyringSpec
    place: Place
    hosts: tuple[ComputeHost, ...]
    destinations: frozenset[str]
    """Of the hosts of the cloud those whose nova-compute is up and enabled: to no other one Nova moves anything."""
    login: Login
    pins: Pins
    state: State
    keys: Keys | None

    def target(self, host: ComputeHost) -> Target:
        return Target(host.name, host.address, self.spec.host_access.port)

    @cached_property
    def wanted(self) -> Wanted | None:
        if self.keys is None:
            return None
        return wanted(
            self.spec,
            self.place.identity,
            self.hosts,
            self.pins,
            self.keys.pair,
            self.state.previous,
        )


def observe(resource: Resource, secrets: Secrets, clouds: Clouds, now: datetime) -> Inputs:
    """Raises Problem and KubeError. While the resource is being deleted no key is read or made."""
    spec = KeyringSpec.read(resource.spec)
    namespace, store = resource.key.namespace, KeyStore(secrets, resource, spec)
    login, given = (
        host_login(secrets, namespace, spec.host_access),
        given_pins(secrets, namespace, spec.host_access),
    )
    cloud = _cloud(secrets, clouds, namespace, spec)
    services, hypervisors = cloud.computes()
    hosts = compute_hosts(hypervisors, spec.hosts)
    if not hosts and not resource.deleting:
        raise NoHosts("Nova shows no compute host besides those in spec.hosts.exclude")
    keys = None if resource.deleting else store.keys(now)
    state = keys.state if keys else store.state() or State()
    trusted = trusted_pins(secrets, resource, spec)
    pins = Pins(given.pins + trusted.pins, given.revoked)
    identity = Identity(namespace, resource.key.name)
    return Inputs(
        spec, place(spec, identity), hosts, destinations(services), login, pins, state, keys
    )


def destinations(services: Iterable[Service]) -> frozenset[str]:
    """Where Nova's scheduler would move something (ComputeFilter, nova/scheduler/filters/compute_filter.py)."""
    return frozenset(
        service.host
        for service in services
        if service.status == "enabled" and service.state == "up"
    )


def _cloud(secrets: Secrets, clouds: Clouds, namespace: str, spec: KeyringSpec) -> Cloud:
    ref = spec.cloud_credentials_ref
    secret = secrets.get(namespace, ref.secret_name)
    if secret is None:
        raise BadCredentials(
            f"Secret {namespace}/{ref.secret_name} does not exist: "
            f"create it with a key clouds.yaml that has a cloud named {ref.cloud_name!r}"
        )
    return clouds.get(secret, ref.cloud_name)
