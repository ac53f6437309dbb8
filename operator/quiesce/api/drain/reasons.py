"""The words of a drain's status: phases, reasons, stages. Each knows whether a person is needed.

docs/status.md explains every word. A reason may be added; none changes its meaning.
"""

from enum import StrEnum


class Phase(StrEnum):
    """One word for people on where the drain stands. Programs read conditions."""

    PENDING = "Pending"
    PLANNED = "Planned"
    DRAINING = "Draining"
    DRAINED = "Drained"
    DELETED = "Deleted"
    SUSPENDED = "Suspended"
    STALLED = "Stalled"
    RESTORING = "Restoring"


class DrainReason(StrEnum):
    """Why the drain as a whole stands where it does: the reason of `Ready`."""

    needs_person: bool

    def __new__(cls, word: str, needs_person: bool = False) -> "DrainReason":
        member = str.__new__(cls, word)
        member._value_ = word
        member.needs_person = needs_person
        return member

    STARTING = "Starting"
    DISABLING = "Disabling"
    DISABLE_REFUSED = "DisableRefused", True
    MIGRATING = "Migrating"
    PROVING = "Proving"
    NOVA_COMPUTE_RUNNING = "NovaComputeRunning", True
    DELETING = "Deleting"
    DELETE_REFUSED = "DeleteRefused", True
    RESTORING = "Restoring"
    PLANNING = "Planning"
    PLANNED = "Planned"
    DRAINED = "Drained"
    DELETED = "Deleted"
    SUSPENDED = "Suspended"
    CAPACITY_SHORT = "CapacityShort", True
    FORCED_DOWN = "ForcedDown", True
    ALLOCATIONS_LEFT = "AllocationsLeft", True
    LEFTOVERS = "Leftovers", True
    SERVERS_BLOCKED = "ServersBlocked", True
    NO_ACCESS = "NoAccess", True


class ServerReason(StrEnum):
    """Why a server is not moved, confirmed or gone yet.

    `needs_person`: waiting alone does not help. `slow`: nothing is expected to change within
    seconds, so it is no cause to poll quickly.
    """

    needs_person: bool
    slow: bool

    def __new__(cls, word: str, needs_person: bool = False, slow: bool = False) -> "ServerReason":
        member = str.__new__(cls, word)
        member._value_ = word
        member.needs_person, member.slow = needs_person, slow or needs_person
        return member

    # It passes by itself.
    ANSWER_UNKNOWN = "AnswerUnknown"
    BACKING_OFF = "BackingOff", False, True
    BUILDING = "Building"
    BUSY = "Busy"
    CELL_DOWN = "CellDown", False, True
    DELETING = "Deleting"
    FOREIGN_MIGRATION = "ForeignMigration", False, True
    OFFLOADING = "Offloading"
    PATHS_NOT_PROVEN = "PathsNotProven"
    RECOVERING = "Recovering"
    SERVER_NOT_READ = "ServerNotRead", False, True
    SETTLING = "Settling"
    STARTING = "Starting"
    VOLUMES_NOT_READ = "VolumesNotRead", False, True
    # A person is needed.
    ACCELERATOR = "Accelerator", True
    AFFINITY_GROUP = "AffinityGroup", True
    AWAITING_DECISION = "AwaitingDecision", True
    CANNOT_LIVE_MIGRATE = "CannotLiveMigrate", True
    CHECK_FAILED = "CheckFailed", True
    COLD_MIGRATION_PAUSED = "ColdMigrationPaused", True
    DESTINATION_DOWN = "DestinationDown", True
    DESTINATION_FAILED = "DestinationFailed", True
    DESTINATION_NOT_WRITABLE = "DestinationNotWritable", True
    ENCRYPTED_VOLUMES = "EncryptedVolumes", True
    FOREIGN_RESIZE = "ForeignResize", True
    HOST_UNCERTAIN = "HostUncertain", True
    LEFT_OFF = "LeftOff", True
    LIVE_FAILED_IN_ERROR = "LiveFailedInError", True
    LIVE_MIGRATION_FAILED = "LiveMigrationFailed", True
    LIVE_MIGRATION_PAUSED = "LiveMigrationPaused", True
    LOCKED = "Locked", True
    MIGRATION_FAILED = "MigrationFailed", True
    NO_CAPACITY = "NoCapacity", True
    NO_VALID_HOST_BY_GROUP = "NoValidHostByGroup", True
    NO_VALID_HOST_BY_ZONE = "NoValidHostByZone", True
    PAUSED = "Paused", True
    PORT_UNBOUND = "PortUnbound", True
    PORTS_NOT_READ = "PortsNotRead", True
    REFUSED = "Refused", True
    RESCUED = "Rescued", True
    REVERTED = "Reverted", True
    SERVER_IN_ERROR = "ServerInError", True
    SHELVED = "Shelved", True
    SOFT_DELETED = "SoftDeleted", True
    SOURCE_DOWN = "SourceDown", True
    SOURCE_FAILED = "SourceFailed", True
    SSH_PATH_BROKEN = "SSHPathBroken", True
    STUCK = "Stuck", True
    STUCK_MIGRATION = "StuckMigration", True
    SUSPENDED = "Suspended", True
    UNKNOWN_STATUS = "UnknownStatus", True
    VIRTUAL_TPM = "VirtualTPM", True


class Stage(StrEnum):
    """Where a move stands: the `state` of a row of `status.moving`. Few, so that a move is few
    writes.
    """

    STARTING = "Starting"
    MIGRATING = "Migrating"
    VERIFYING = "Verifying"
    SOAKING = "Soaking"
    CONFIRMING = "Confirming"
    REVERTING = "Reverting"
    ENDING = "Ending"
    STUCK = "Stuck"

    @property
    def slow(self) -> bool:
        """Nothing is expected to change within seconds."""
        return self is Stage.SOAKING
