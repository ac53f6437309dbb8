"""States of servers and migrations, as in nova/compute/{vm,task}_states.py and
nova/objects/migration.py.
"""

RUNNING, PAUSED_POWER, SHUTDOWN, NO_POWER = 1, 3, 4, 0  # nova/objects/fields.py InstancePowerState

_RESIZE = dict.fromkeys(
    ("resize_prep", "resize_migrating", "resize_migrated", "resize_finish"), "RESIZE"
)
_REBUILD = dict.fromkeys(
    ("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"), "REBUILD"
)
_SOFT = dict.fromkeys(("rebooting", "reboot_pending", "reboot_started"), "REBOOT")
_HARD = dict.fromkeys(
    ("rebooting_hard", "reboot_pending_hard", "reboot_started_hard"), "HARD_REBOOT"
)

# vm_state -> (status without a task, task_state -> status); nova/api/openstack/common.py _STATE_MAP
STATUS: dict[str, tuple[str, dict[str, str]]] = {
    "active": ("ACTIVE", {**_SOFT, **_HARD, **_REBUILD, **_RESIZE, "migrating": "MIGRATING"}),
    "building": ("BUILD", {}),
    "stopped": ("SHUTOFF", {**_RESIZE, **_REBUILD}),
    "resized": ("VERIFY_RESIZE", {"resize_reverting": "REVERT_RESIZE"}),
    "paused": ("PAUSED", {"migrating": "MIGRATING"}),
    "suspended": ("SUSPENDED", {}),
    "rescued": ("RESCUE", {}),
    "error": ("ERROR", _REBUILD),
    "deleted": ("DELETED", {}),
    "soft-delete": ("SOFT_DELETED", {}),
    "shelved": ("SHELVED", {}),
    "shelved_offloaded": ("SHELVED_OFFLOADED", {}),
}

# Every other status keeps a compute service from being deleted (nova/db/main/api.py
# migration_get_in_progress_by_host_and_node).
ENDED_MIGRATION = frozenset(
    ("confirmed", "reverted", "error", "failed", "completed", "cancelled", "done")
)
LIVE_IN_PROGRESS = ("queued", "preparing", "running", "post-migrating")


def status_of(vm_state: str, task_state: str | None) -> str:
    default, by_task = STATUS[vm_state]
    return by_task.get(task_state or "", default)


def states_of(statuses: list[str]) -> tuple[set[str], set[str]]:
    """Return the vm_states and task_states (`default`: any) that may show one of the statuses."""
    wanted = {status.upper() for status in statuses}
    vm_states: set[str] = set()
    task_states: set[str] = set()
    for vm_state, (default, by_task) in STATUS.items():
        shown = {"default": default, **by_task}
        tasks = {task for task, status in shown.items() if status in wanted}
        if tasks:
            vm_states.add(vm_state)
            task_states |= tasks
    return vm_states, task_states
