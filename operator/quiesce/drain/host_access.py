"""nova-compute on the host itself, over SSH: looked at, stopped, and started again as it was found."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec
from quiesce.api.errors import InvalidSpec
from quiesce.compute import unit as stop
from quiesce.compute.unit import Unit, UnitState
from quiesce.keyring.access import drain_session, keyring_session
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import Hypervisor
from quiesce.runtime.kinds import Context
from quiesce.ssh.session import Session

KEYRINGS = "migrationkeyrings"


@dataclass(frozen=True, slots=True)
class HostCompute:
    """One host's nova-compute. Every method is one SSH session, and raises Problem, KubeError or SSHError."""

    unit: Unit
    open: Callable[[], AbstractContextManager[Session]]

    def look(self) -> UnitState:
        with self.open() as session:
            return stop.look(session, self.unit)

    def stop(self) -> UnitState:
        """Stops it and keeps it from starting."""
        with self.open() as session:
            return stop.stop(session, self.unit)

    def restore(self, found: UnitState) -> UnitState:
        with self.open() as session:
            return stop.restore(session, self.unit, found)


def keyring_of(context: Context, drain: Resource, spec: DrainSpec) -> Resource | None:
    """The MigrationKeyring that the spec names; None: it names none. Raises InvalidSpec where there is no such keyring.

    A drain that is being deleted does without: it starts nothing that needs a keyring.
    """
    if spec.keyring_ref is None:
        return None
    namespace = drain.key.namespace
    store = context.stores.get(KEYRINGS)
    if store is None and drain.deleting:
        return None
    if store is None:
        raise InvalidSpec(
            "keyringRef: the CRD of MigrationKeyring is not installed: install it, and restart the operator"
        )
    found = store.get(Key(namespace, spec.keyring_ref.name))
    if found is None and not drain.deleting:
        raise InvalidSpec(
            f"keyringRef: there is no MigrationKeyring {namespace}/{spec.keyring_ref.name}"
        )
    return found


def compute_of(
    context: Context, drain: Resource, spec: DrainSpec, keyring: Resource | None, cloud: Cloud
) -> HostCompute | None:
    """How nova-compute on the host is reached: by `hostAccess`, else as the keyring does. None: by no way."""
    hypervisors = with_remembered(cloud, spec.host, Record.read(drain.status).address)
    unit = Unit(spec.service.stop.kind, spec.service.stop.name)
    access, host = spec.host_access, spec.host
    if access is not None:
        return HostCompute(
            unit, lambda: drain_session(context.secrets, drain, access, hypervisors(), host)
        )
    if keyring is not None:
        return HostCompute(
            unit, lambda: keyring_session(context.secrets, keyring, hypervisors(), host)
        )
    return None


def with_remembered(
    cloud: Cloud, host: str, address: str | None
) -> Callable[[], tuple[Hypervisor, ...]]:
    """Nova's hypervisors, and the host itself as it was remembered: Nova forgets its address with its service."""

    def look() -> tuple[Hypervisor, ...]:
        listed = cloud.hypervisors()
        if address is None or any(each.host == host for each in listed):
            return listed
        return (*listed, Hypervisor(host, host, address))

    return look
