"""How a drain reaches nova-compute on its host: by its own `hostAccess`, else as its
keyring does.
"""

from collections.abc import Callable

from quiesce.api.drain.record import Record
from quiesce.api.drain.spec import DrainSpec
from quiesce.api.errors import InvalidSpec
from quiesce.api.keyring.spec import KeyringSpec
from quiesce.compute.access import host_session
from quiesce.compute.host import HostCompute
from quiesce.compute.model import Unit
from quiesce.drain.decide.causes import destination_of
from quiesce.drain.model.observation import Observation, Paths
from quiesce.keyring.access import keyring_session
from quiesce.keyring.paths import proven, unchecked
from quiesce.kube.resource import Key, Resource
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.records import Hypervisor
from quiesce.runtime.kinds import Context

_KEYRINGS = "migrationkeyrings"


def keyring_of(context: Context, resource: Resource, spec: DrainSpec) -> Resource | None:
    """The MigrationKeyring that the spec names; None: it names none. Raises InvalidSpec where there
    is no such keyring.

    A drain that is being deleted does without: it starts nothing that needs a keyring.
    """
    if spec.keyring_ref is None:
        return None
    namespace, store = resource.key.namespace, context.stores.get(_KEYRINGS)
    if store is None and resource.deleting:
        return None
    if store is None:
        raise InvalidSpec(
            "keyringRef: the CRD of MigrationKeyring is not installed: install it (kubectl apply "
            "-k "
            "crds), and restart the operator"
        )
    found = store.get(Key(namespace, spec.keyring_ref.name))
    if found is None and not resource.deleting:
        name = f"{namespace}/{spec.keyring_ref.name}"
        raise InvalidSpec(f"keyringRef: there is no MigrationKeyring {name}")
    return found


def paths_of(keyring: Resource, cloud: Cloud, observation: Observation) -> Paths:
    """What a drain's keyring says of the host's paths. Nova's hypervisors are read only where a
    migration has failed on SSH.
    """
    is_proven, text = proven(keyring.status, observation.host)
    found = (destination_of(cause.text) for cause in observation.history.causes.values())
    addresses = {address for address in found if address}
    if not addresses:
        return Paths(is_proven, text)
    spec, hypervisors = KeyringSpec.read(keyring.spec), cloud.hypervisors()
    notes = {address: unchecked(address, spec, hypervisors) for address in addresses}
    return Paths(is_proven, text, {address: note for address, note in notes.items() if note})


def compute_of(
    context: Context,
    resource: Resource,
    spec: DrainSpec,
    record: Record,
    keyring: Resource | None,
    cloud: Cloud,
) -> HostCompute | None:
    """None: the spec names no access to the host."""
    hypervisors = _with_recorded(cloud, spec.host, record.address)
    unit = Unit(spec.service.stop.kind, spec.service.stop.name)
    secrets, access, host = context.secrets, spec.host_access, spec.host
    if access is not None:
        met = record.found_unit is not None
        return HostCompute(
            unit,
            lambda: host_session(secrets, resource, access, hypervisors(), host, met=met),
        )
    if keyring is not None:
        return HostCompute(unit, lambda: keyring_session(secrets, keyring, hypervisors(), host))
    return None


def _with_recorded(
    cloud: Cloud, host: str, address: str | None
) -> Callable[[], tuple[Hypervisor, ...]]:
    """Nova's hypervisors, and the host itself as recorded: Nova forgets its address with its
    service.
    """

    def hypervisors() -> tuple[Hypervisor, ...]:
        listed = cloud.hypervisors()
        if address is None or any(each.host == host for each in listed):
            return listed
        return (*listed, Hypervisor(host, host, address))

    return hypervisors
