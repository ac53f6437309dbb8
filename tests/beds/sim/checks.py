"""What Nova's API refuses before it starts anything (nova/compute/api.py, the check_* decorators)."""

from tests.beds.sim.errors import ConflictError, UnexpectedApiError
from tests.beds.sim.records import Context, Server
from tests.beds.sim.state import State

UNAVAILABLE = "Service is unavailable at this time."


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
