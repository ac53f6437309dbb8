"""What is known ahead about servers that Nova never moves in one way or another.

From nova/compute/api.py and virt/libvirt/driver.py, read at 21.2.4, 29.4.0 and 34.0.0. Everything
else is decided by Nova's answer: a live migration that it rejects costs the guest nothing.
"""

from quiesce.api.drain.reasons import ServerReason
from quiesce.api.drain.spec import DrainSpec, EncryptedPolicy, LockedPolicy, Method
from quiesce.api.text import some
from quiesce.drain.decide.kinds import has_accelerator, has_encrypted_memory, tpm_secret
from quiesce.drain.decide.refusals import stop_or_restart
from quiesce.drain.decide.remedies import for_server
from quiesce.drain.model.verdict import Blocked, Wait
from quiesce.openstack.records import Server

_RESIZE = "openstack server resize --flavor FLAVOR {id}"


def unmovable(server: Server) -> Blocked | None:
    """A server that is neither moved nor started by us, under any method and in any state."""
    if has_accelerator(server):
        return Blocked(
            ServerReason.ACCELERATOR,
            "its flavor uses an accelerator (accel:device_profile); Nova migrates it neither live "
            "nor cold",
            (
                "Shelve it, which stops the guest, and unshelve it on another host",
                *for_server(server, "openstack server shelve --offload {id}"),
                *for_server(server, "openstack server unshelve {id}"),
            ),
        )
    if tpm_secret(server) != "user":
        return None
    return Blocked(
        ServerReason.VIRTUAL_TPM,
        "the secret of its virtual TPM belongs to its owner; on behalf of another user Nova cannot "
        "start it on another host",
        (
            "Ask its owner to resize it, which moves and restarts it, and to confirm: "
            + for_server(server, _RESIZE)[0],
            "From Nova 33, to a flavor with hw:tpm_secret_security=host: it can be live-migrated "
            "from then on",
            "Or ask its owner to delete it and create it again",
        ),
    )


def live_obstacle(server: Server) -> str | None:
    """Why Nova always refuses to live-migrate this server; None: nothing known.

    compute/api.py live_migrate: block_accelerators, reject_mem_enc_instances,
    reject_legacy_vtpm_live_migration. A PCI device is none: since 2025.1 its alias may be
    live_migratable, which only Nova knows (conductor/tasks/live_migrate.py).
    """
    if has_accelerator(server):
        return "its flavor uses an accelerator (accel:device_profile)"
    if has_encrypted_memory(server):
        return "its memory is encrypted (hw:mem_encryption)"
    if tpm_secret(server) == "user":
        return "the secret of its virtual TPM belongs to its owner (hw:tpm_version)"
    return None


def cold_obstacle(server: Server, spec: DrainSpec) -> Blocked | Wait | None:
    """Why a cold migration by us leaves the guest off and in ERROR, or may; None: nothing known.

    For a stopped server too: Nova reads the secrets also when it only defines the guest on its
    destination (virt/libvirt/driver.py finish_migration, _create_guest).
    """
    if tpm_secret(server) == "host":
        return Blocked(
            ServerReason.VIRTUAL_TPM,
            "the secret of its virtual TPM is kept on this host (hw:tpm_secret_security=host) and "
            "leaves it by live migration only",
            (*_live_instead(server, spec), "Or ask its owner to resize it to another flavor"),
        )
    return _encryption(server, spec) or image_not_read(server)


def _encryption(server: Server, spec: DrainSpec) -> Blocked | Wait | None:
    if spec.servers.encrypted_volumes is EncryptedPolicy.MOVE or server.encrypted == ():
        return None
    if server.encrypted is None:
        text = "Cinder does not tell whether its volumes are encrypted"
        return Wait(ServerReason.VOLUMES_NOT_READ, text)
    return Blocked(
        ServerReason.ENCRYPTED_VOLUMES,
        f"its volume {some(server.encrypted)} is encrypted; if the secret belongs to its owner, "
        "Nova cannot start it on another host on behalf of another user",
        (
            *_live_instead(server, spec),
            "Ask its owner to shelve and unshelve it, which moves and restarts it",
            "Or allow the operator's user to read the secret (openstack acl user add), then set "
            "servers.encryptedVolumes: Move",
        ),
    )


def image_not_read(server: Server) -> Wait | None:
    """A guest whose image may ask for a virtual TPM is not started by us."""
    if server.image_read or tpm_secret(server) is not None:
        return None
    service = "Cinder" if server.volume_backed else "Glance"
    text = f"{service} does not tell whether its image asks for a virtual TPM"
    return Wait(ServerReason.SERVER_NOT_READ, text)


def may_move_cold(server: Server, spec: DrainSpec) -> bool:
    """Whether neither the server nor the spec forbids its cold migration, as far as is known."""
    locked = server.locked and spec.servers.locked is LockedPolicy.BLOCK
    return not locked and unmovable(server) is None and cold_obstacle(server, spec) is None


def cannot_live_migrate(server: Server, spec: DrainSpec) -> Blocked | Wait | None:
    """For a server that would be live-migrated. Where it cannot be cold-migrated either, that is
    what a person has to solve.
    """
    obstacle = live_obstacle(server)
    if obstacle is None:
        return None
    text = f"runs and cannot live-migrate: {obstacle}"
    return cold_obstacle(server, spec) or Blocked(
        ServerReason.CANNOT_LIVE_MIGRATE, text, stop_or_restart(server, spec.migration.method)
    )


def _live_instead(server: Server, spec: DrainSpec) -> tuple[str, ...]:
    """A running server may be live-migrated; a stopped one is to be started by its owner first."""
    start = ("Ask its owner to start it",) if server.status == "SHUTOFF" else ()
    cold = spec.migration.method is Method.COLD
    return (*start, *(("Use migration.method: LiveThenCold",) if cold else ()))
