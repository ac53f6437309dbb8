"""What a tick reads before it visits hosts: access, pinned keys, Nova's list, the key pair."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from quiesce.api.errors import BadHostAccess, InvalidSpec
from quiesce.api.keyring.spec import KeyringSpec, Probe
from quiesce.compute.access import login_of, pins_of
from quiesce.compute.hosts import ComputeHost, compute_hosts
from quiesce.keyring.decide import desired_state, layout_of
from quiesce.keyring.errors import NoHosts
from quiesce.keyring.model import DesiredState, HostLayout, Identity, KeyHistory
from quiesce.keyring.observe.key_store import Keys, KeyStore
from quiesce.kube.resource import Resource
from quiesce.openstack.records import Service
from quiesce.runtime.clouds import cloud_of
from quiesce.runtime.kinds import Context
from quiesce.ssh.login import Login
from quiesce.ssh.pins import HostKeys
from quiesce.ssh.session import Target

_MOST_HOSTS = 5000
_MOST_PROBED = 1000
"""With `probe: All`."""
_MOST_HASHES = 1_000_000
"""Of names of hosts with hashed ones: up to two seconds, whenever the pinned keys change."""


@dataclass(frozen=True)
class KeyringObservation:
    """Everything that is the same for all hosts. `keys` None: the keyring is being deleted."""

    spec: KeyringSpec
    layout: HostLayout
    hosts: tuple[ComputeHost, ...]
    destinations: frozenset[str]
    """Hosts whose nova-compute is up and enabled: Nova moves nothing to any other one."""
    up: frozenset[str]
    """Hosts whose nova-compute is up, enabled or not."""
    login: Login
    pins: HostKeys
    history: KeyHistory
    keys: Keys | None
    remembered: bool = True
    """Whether the history was stored."""

    def target(self, host: ComputeHost) -> Target:
        return Target(host.name, host.address, self.spec.host_access.port)

    @cached_property
    def desired(self) -> DesiredState | None:
        """None: nothing, the keyring is being deleted."""
        if self.keys is None:
            return None
        return desired_state(
            self.spec,
            self.layout.identity,
            self.hosts,
            self.pins,
            self.keys.pair,
            self.history.previous,
        )


def observe(context: Context, resource: Resource, now: datetime) -> KeyringObservation:
    """Raises Problem and KubeError. In deletion no key is read or generated."""
    spec, secrets, namespace = (
        KeyringSpec.read(resource.spec),
        context.secrets,
        resource.key.namespace,
    )
    login = login_of(secrets, namespace, spec.host_access)
    given = pins_of(secrets, namespace, spec.host_access)
    services, hypervisors = cloud_of(context, resource).computes()
    hosts = compute_hosts(
        hypervisors, spec.hosts.addresses, spec.hosts.exclude, spec.hosts.migration_addresses
    )
    if not hosts and not resource.deleting:
        raise NoHosts("Nova lists no compute host besides those in spec.hosts.exclude")
    if not resource.deleting:
        _refuse_too_many(len(hosts), spec.probe)
        _refuse_too_many_hashed(given.hashed, hosts)
    store = KeyStore(secrets, resource, spec)
    keys = None if resource.deleting else store.ensure_keys(now, login.public_key)
    stored = keys.history if keys else store.history()
    history = stored or KeyHistory()
    identity = Identity.of(namespace, resource.key.name, resource.uid)
    return KeyringObservation(
        spec=spec,
        layout=layout_of(spec, identity, history.keys),
        hosts=hosts,
        destinations=_destinations(services),
        up=frozenset(service.host for service in services if service.state == "up"),
        login=login,
        pins=HostKeys(given, store.trusted_pins(history)),
        history=history,
        keys=keys,
        remembered=keys.remembered if keys else stored is not None,
    )


def _refuse_too_many(hosts: int, probe: Probe) -> None:
    """What is known of every path, and what every host is told of every other, takes memory that
    grows with the square of their number. Raises InvalidSpec.
    """
    if hosts > _MOST_HOSTS:
        raise InvalidSpec(
            f"Nova lists {hosts} compute hosts, and a keyring can have {_MOST_HOSTS}: name in "
            "spec.hosts.exclude those that need no keys"
        )
    if probe is Probe.ALL and hosts > _MOST_PROBED:
        raise InvalidSpec(
            f"spec.probe: All checks every host with every other, which is done for up to "
            f"{_MOST_PROBED} hosts, and Nova lists {hosts}: set it to Ring"
        )


def _refuse_too_many_hashed(hashed: int, hosts: Iterable[ComputeHost]) -> None:
    """Raises BadHostAccess."""
    names = sum(len(host.names) for host in hosts)
    if hashed * names > _MOST_HASHES:
        raise BadHostAccess(
            f"spec.hostAccess.knownHostsRef has {hashed} hashed names, too many to be compared "
            f"with {names} names of hosts: list the hosts by their names, as ssh-keyscan does"
        )


def _destinations(services: Iterable[Service]) -> frozenset[str]:
    """Where Nova's scheduler would move something (nova/scheduler/filters/compute_filter.py)."""
    return frozenset(
        service.host
        for service in services
        if service.status == "enabled" and service.state == "up"
    )
