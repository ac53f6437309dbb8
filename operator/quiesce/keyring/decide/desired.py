"""PURE. The spec, the pinned host keys and the key pair -> what every host should look like."""

from collections.abc import Iterable

from quiesce.api.keyring.spec import KeyringSpec
from quiesce.compute.hosts import ComputeHost
from quiesce.keyring.model.desired import DesiredState, HostLayout
from quiesce.keyring.model.identity import Identity
from quiesce.ssh.keys import KeyPair, PublicKey
from quiesce.ssh.pins import Pins, spelled


def layout_of(spec: KeyringSpec, identity: Identity) -> HostLayout:
    account = spec.nova
    return HostLayout(
        identity,
        account.user,
        account.home,
        account.shell,
        spec.known_hosts_file,
        account.instances,
    )


def desired_state(
    spec: KeyringSpec,
    identity: Identity,
    hosts: tuple[ComputeHost, ...],
    pins: Pins,
    key: KeyPair,
    previous: tuple[PublicKey, ...],
) -> DesiredState:
    """`may_switch` is False: it depends on what every host shows (see `rotation`)."""
    return DesiredState(
        layout=layout_of(spec, identity),
        known_lines=_known_lines(hosts, pins, spec.nova_port, identity.marker),
        hosts=tuple((host.peer_address, host.names) for host in hosts),
        port=spec.nova_port,
        key=key,
        previous=previous,
        sources=spec.authorized_keys_from,
        may_switch=False,
    )


def _known_lines(
    hosts: Iterable[ComputeHost], pins: Pins, port: int, marker: str
) -> tuple[str, ...]:
    """The hosts' own keys as lines of a known_hosts file, by every name and address; sorted."""
    lines = {
        f"{','.join(spelled(name, port) for name in host.names)} {key.line} {marker}"
        for host in hosts
        for key in pins.of(host.names, port)
    }
    return tuple(sorted(lines))
