"""What Nova's API refuses before it starts anything (nova/compute/api.py, the check_*
decorators).
"""

from tests.beds.sim.errors import (
    ApiError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    UnexpectedApiError,
    WorkError,
)
from tests.beds.sim.records import Context, Server, User
from tests.beds.sim.state import State

LIVE, COLD = "live-migration", "resize"  # nova/compute/instance_actions.py
UNAVAILABLE = "Service is unavailable at this time."


def supported(state: State, server: Server, operation: str) -> None:
    """Refuse what Nova never does with a guest of this kind. operation: LIVE or COLD.

    In this order and in these words in nova/compute/api.py. Since Xena (nova 1b6a6e3916) all of
    these are 400; before, 403 and 409, which elsewhere mean something that passes.
    """
    specs = dict(server.flavor.extra_specs)
    vnics = {port.vnic_type for port in state.ports_of.get(server.id, [])}
    old = state.config.before_xena
    if vnics & {"accelerator-direct", "accelerator-direct-physical"}:
        raise BadRequestError("Feature not supported with Ports that have accelerators.")
    if "vdpa" in vnics and old:
        words = "instance with vDPA ports ((instance_uuid)s)"  # Nova forgets to fill it in
        raise ConflictError(f"Operation '{operation}' not supported for {words}.")
    if "accel:device_profile" in specs:
        if old:
            raise ForbiddenError("Forbidden with instances that have accelerators.")
        raise BadRequestError("Feature not supported with instances that have accelerators.")
    if operation == LIVE:
        refuse: type[ApiError] = ConflictError if old else BadRequestError
        for kind in _cannot_live_migrate(specs, old):
            words = f"not supported for {kind} instance ({server.id})"
            raise refuse(f"Operation '{operation}' {words}.")


def _cannot_live_migrate(specs: dict[str, str], old: bool) -> list[str]:
    secret_on_the_host = specs.get("hw:tpm_secret_security") == "host"
    kinds = []
    if specs.keys() & {"hw:tpm_version", "hw:tpm_model"} and (old or not secret_on_the_host):
        kinds.append("vTPM-enabled")
    if specs.get("hw:mem_encryption", "").lower() in ("1", "t", "true", "on", "y", "yes"):
        kinds.append("SEV-enabled" if old else "mem encryption enabled")
    return kinds


def secret(server: Server, who: User, *, live: bool = False) -> None:
    """Barbican gives the secret of a virtual TPM or a volume to its owner's project only.

    nova/crypto.py ensure_vtpm_secret; the secret of a TPM in mode `host` travels with a live
    migration (virt/libvirt/driver.py _add_vtpm_secret_to_live_migrate_data).
    """
    if who.project == server.owner.project:
        return
    specs = dict(server.flavor.extra_specs)
    mode = specs.get("hw:tpm_secret_security", "user")
    if "hw:tpm_version" in specs and not live and mode != "deployment":
        words = "Key manager error: Forbidden: Secret payload retrieval attempt not allowed"
        raise WorkError("VTPMSecretForbidden", words)
    if any(volume.encrypted for volume in server.volumes):
        words = "Key manager error: Forbidden: Secret payload retrieval attempt not allowed"
        raise WorkError("KeyManagerError", words)


def unlocked(server: Server, context: Context) -> None:
    if server.locked_by and not context.is_admin:
        raise ConflictError(f"Instance {server.id} is locked")


def in_state(
    server: Server,
    action: str,
    vm_states: tuple[str, ...] = (),
    tasks: tuple[str | None, ...] = (None,),
) -> None:
    """Refuse an action whose server is in none of the vm_states (all, if empty) or tasks."""
    if vm_states and server.vm_state not in vm_states:
        _refuse(server, action, "vm_state", server.vm_state)
    if server.task_state not in tasks:
        _refuse(server, action, "task_state", server.task_state)


def _refuse(server: Server, action: str, attribute: str, value: str | None) -> None:
    if value is None:
        raise ConflictError(f"Instance {server.id} is in an invalid state for '{action}'")
    raise ConflictError(
        f"Cannot '{action}' instance {server.id} while it is in {attribute} {value}"
    )


def host_is_up(state: State, server: Server) -> None:
    """Refuse what needs the nova-compute that the server is on."""
    if server.host is None:
        raise ConflictError(f"Instance {server.id} is not ready")
    service = state.service_of(server.host)
    compute = state.computes[server.host]
    if service is None or not state.is_up(service) or compute.stale_service_row:
        raise ConflictError(UNAVAILABLE)


def begin(state: State, server: Server, task: str | None) -> None:
    """Take the server for a request, which saves its task before it is answered."""
    state.save(server, task_state=task, task_since=state.now())


def lost_race(state: State, server: Server, tasks: tuple[str, ...]) -> None:
    """Answer the second of two requests at once as Nova does: with 500.

    Both have read the server without a task; the second one's save finds the task of the first.
    """
    if server.task_state in tasks and state.now() - server.task_since <= state.timing.race:
        raise UnexpectedApiError("UnexpectedTaskStateError")
