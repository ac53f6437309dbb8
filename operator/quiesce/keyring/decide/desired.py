"""PURE. The spec, the pinned host keys and the key pair -> what every host should look like."""

from collections.abc import Iterable, Mapping

from quiesce.api.keyring.spec import KeyringSpec
from quiesce.compute.hosts import ComputeHost
from quiesce.keyring.model.desired import DesiredState, HostLayout
from quiesce.keyring.model.identity import Identity
from quiesce.ssh.keys import KeyPair, PublicKey
from quiesce.ssh.pins import HostKeys, spelled


def layout_of(
    spec: KeyringSpec, identity: Identity, keys: tuple[PublicKey, ...] = ()
) -> HostLayout:
    """`keys`: of this keyring, in use or earlier."""
    account = spec.nova
    return HostLayout(
        identity,
        account.user,
        account.home,
        account.shell,
        spec.known_hosts_file,
        account.instances,
        account.user_id,
        keys,
    )


def desired_state(
    spec: KeyringSpec,
    identity: Identity,
    hosts: tuple[ComputeHost, ...],
    pins: HostKeys,
    key: KeyPair,
    previous: tuple[PublicKey, ...],
) -> DesiredState:
    """`may_switch` is False: it depends on what every host shows (see `rotation`)."""
    return DesiredState(
        layout=layout_of(spec, identity, (key.public, *previous)),
        known_lines=_known_lines(hosts, pins, spec.nova_port, identity.marker),
        hosts=tuple((host.peer_address, host.names) for host in hosts),
        port=spec.nova_port,
        key=key,
        previous=previous,
        sources=spec.authorized_keys_from,
        may_switch=False,
    )


def _known_lines(
    hosts: Iterable[ComputeHost], pins: HostKeys, port: int, marker: str
) -> tuple[str, ...]:
    """The hosts' own keys as lines of a known_hosts file, by every name and address; sorted."""
    lines = {
        f"{','.join(spelled(name, port) for name in names)} {key.line} {marker}"
        for host in hosts
        for key, names in _published(host, pins, port).items()
    }
    return tuple(sorted(lines))


def _published(host: ComputeHost, pins: HostKeys, port: int) -> Mapping[PublicKey, tuple[str, ...]]:
    """Key -> the names under which other hosts may meet it: where a person has pinned a key for a
    name, that one and no other.
    """
    own = pins.of(host.name, host.names, port)
    found = {name: pins.given.of((name,), port) or own for name in host.names}
    keys = dict.fromkeys(key for each in found.values() for key in each)
    return {key: tuple(name for name in host.names if key in found[name]) for key in keys}
