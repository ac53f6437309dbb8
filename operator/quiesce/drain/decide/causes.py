"""What Nova's messages mean: which cause a failed migration had, and what it did to the guest.

Nova cuts `details` of an event at 255 characters (nova/objects/instance_action.py), so a message
may end anywhere. Texts are those of Nova 34 unless noted otherwise; seen on its libvirt driver.
"""

import re

from quiesce.drain.model.observation import Observation
from quiesce.openstack.records import Migration

# Events of the steps that run while the guest is off (nova/compute/manager.py).
AFTER_SHUTDOWN = frozenset({"compute_resize_instance", "compute_finish_resize"})
UNKNOWN = "Nova gives no cause"
SSH_REMEDIES = (
    "Repair the keys and host keys of the nova user: this host cannot reach the destination by SSH",
)

# Also names of errors, where Nova gives no more (nova/exception.py NoValidHost, MaxRetriesExceeded,
# ComputeResourcesUnavailable, GroupAffinityViolation; conductor/manager.py and
# tasks/live_migrate.py, scheduler/utils.py; read at 21.2.4, 29.4.0 and 34.0.0).
_NO_HOST = re.compile(
    r"No valid host|NoValidHost|MaxRetriesExceeded|Exceeded maximum number of retries"
    r"|Exceeded max scheduling|exhausted all hosts|not enough hosts available"
    r"|Insufficient compute resources|ComputeResourcesUnavailable|group policy was violated",
    re.IGNORECASE,
)
_NO_PORT = re.compile(
    r"Port id \S+ could not be found|Failed to access port \S+: The resource could not be found"
)
_SSH_COMMAND = "not able to execute ssh command"
_EXIT_CODE = re.compile(r"Exit code: (\d+)")
_NOT_AVAILABLE = "This account is currently not ava"  # nologin(8), cut
# Each word can be read in one way only, and none is given back: a compute host writes the message.
_SSH_HOST = re.compile(r"Command: ssh (?:-o \S+ |-\S+ )*+([^\s-]\S*) mkdir")
_DISK_EXISTS = re.compile(r"supplied disk path \((/[\w./-]+)\) already exists")
_NEVER_BEGAN = "Failed to submit live migration"
_CHECK = re.compile(
    r"pre-check error|Unacceptable CPU info|is not on (?:shared|local) storage", re.IGNORECASE
)
# libvirt and QEMU on the way to the destination: virnetclient, virnetsocket, virnettlscontext, ssh.
_HOST_WIDE = re.compile(
    r"host key verification failed|remote host identification has changed"
    r"|certificate|TLS handshake|authentication failed|permission denied \(publickey"
    r"|unable to connect to server|cannot connect to libvirt|failed to connect to"
    r"|connection refused|connection timed out|no route to host|network is unreachable"
    r"|name or service not known|cannot recv data|unable to resolve address|end of file while",
    re.IGNORECASE,
)


def text_of(observation: Observation, m: Migration) -> str:
    """Nova's message about a failed migration, in one line."""
    cause = observation.history.causes.get(m.id)
    return in_one_line(cause.text).rstrip(".") if cause else UNKNOWN


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def kind_of(observation: Observation, m: Migration) -> str:
    """The message without what differs from server to server, so that two can be compared."""
    text = text_of(observation, m)
    if text.startswith(UNKNOWN):
        return UNKNOWN
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|instance-[0-9a-f]{8}|\d+", "#", text)


def is_ssh(text: str) -> bool:
    """The source cannot reach the destination by SSH (virt/libvirt/driver.py
    migrate_disk_and_power_off). ssh itself ends with 255, nologin with 1; any other code is that
    of mkdir on the destination. Where the message is cut before the code, SSH is assumed.
    """
    if _SSH_COMMAND not in text:
        return False
    code = _EXIT_CODE.search(text)
    return code is None or code[1] == "255" or _NOT_AVAILABLE in text


def is_mkdir(text: str) -> bool:
    """SSH works, and the destination does not let the directory be made."""
    return _SSH_COMMAND in text and not is_ssh(text)


def destination_of(text: str) -> str | None:
    """The address that Nova used in its ssh command, as far as the message shows it."""
    found = _SSH_HOST.search(in_one_line(text))
    return found[1] if found else None


def is_untouched(text: str) -> bool:
    """The move failed before the guest was shut down."""
    return _SSH_COMMAND in text or is_no_host(text)


def is_no_host(text: str) -> bool:
    """Only the scheduler refused, in any of Nova's messages of that meaning."""
    return _NO_HOST.search(text) is not None


def is_hidden_port(text: str) -> bool:
    """Nova asks Neutron with the token of the user who asked for the move, and Neutron shows that
    user no port of another project: a list without it (nova/exception.py PortNotFound), or 404 for
    the port itself (nova/network/neutron.py _show_port). Both seen with 34.0.
    """
    return _NO_PORT.search(text) is not None


def is_copy(text: str) -> bool:
    """The copy of the disk failed. Nova drops scp's own message (oslo.concurrency's error)."""
    return "ProcessExecutionError" in text


def left_over(text: str, server_id: str) -> str | None:
    """The directory of this server that is on the destination already (nova/exception.py
    DestinationDiskExists): an earlier try was cut off before Nova could remove it.
    """
    found = _DISK_EXISTS.search(text)
    return found[1] if found and found[1].endswith(f"/{server_id}") else None


def never_began(text: str) -> bool:
    """nova-compute was stopping when the live migration came to it (nova/exception.py
    LiveMigrationNotSubmitted).
    """
    return _NEVER_BEGAN in text


def is_check(text: str) -> bool:
    """Nova has checked the guest against its destinations and found that they do not match: alike
    for alike guests, and nothing that anybody repairs (nova/exception.py MigrationPreCheckError).
    """
    return _CHECK.search(text) is not None


def is_host_wide(text: str) -> bool:
    """libvirt cannot reach the destination: every live migration from this host fails alike."""
    return _HOST_WIDE.search(text) is not None
