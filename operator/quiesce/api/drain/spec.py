"""The spec of a ComputeNodeDrain as frozen values. The meaning of every field stands in the CRD.

The API server fills in the defaults; those here are the same, so that tests and
older stored objects read alike. A field that this program does not know is an error:
nothing that a user wrote is ignored in silence.
"""

from enum import StrEnum
from typing import Self

from pydantic import ValidationError

from quiesce.api.errors import InvalidSpec
from quiesce.api.host import HostAccess, Supervisor
from quiesce.api.model import CloudCredentialsRef, Model, Seconds


class Mode(StrEnum):
    DRAIN = "Drain"
    PLAN = "Plan"


class Method(StrEnum):
    COLD = "Cold"
    LIVE = "Live"
    LIVE_THEN_COLD = "LiveThenCold"


class OnLiveTimeout(StrEnum):
    ABORT = "Abort"
    FORCE_COMPLETE = "ForceComplete"
    WAIT = "Wait"


class ShelvedPolicy(StrEnum):
    OFFLOAD = "Offload"
    BLOCK = "Block"


class SuspendedPolicy(StrEnum):
    BLOCK = "Block"
    RESUME = "Resume"


class LockedPolicy(StrEnum):
    MOVE = "Move"
    BLOCK = "Block"


class EncryptedPolicy(StrEnum):
    BLOCK = "Block"
    MOVE = "Move"


class ConfirmationPolicy(StrEnum):
    AUTOMATIC = "Automatic"
    MANUAL = "Manual"


class OnFailedCheck(StrEnum):
    HOLD = "Hold"
    REVERT = "Revert"


class ForeignPolicy(StrEnum):
    WAIT = "Wait"
    CONFIRM = "Confirm"


class DecisionAction(StrEnum):
    CONFIRM = "Confirm"
    REVERT = "Revert"


class AfterDrain(StrEnum):
    DELETE = "Delete"
    KEEP_DISABLED = "KeepDisabled"


class WhileRunning(StrEnum):
    WAIT = "Wait"
    STOP = "Stop"
    DELETE = "Delete"


class OnDelete(StrEnum):
    RESTORE = "Restore"
    LEAVE = "Leave"


class Migration(Model):
    method: Method
    max_parallel: int = 4
    attempts: int = 3
    timeout: Seconds = 3600.0
    on_live_timeout: OnLiveTimeout = OnLiveTimeout.ABORT
    target_host: str | None = None
    require_capacity: bool = False


class Servers(Model):
    shelved: ShelvedPolicy = ShelvedPolicy.OFFLOAD
    suspended: SuspendedPolicy = SuspendedPolicy.BLOCK
    locked: LockedPolicy = LockedPolicy.MOVE
    encrypted_volumes: EncryptedPolicy = EncryptedPolicy.BLOCK


class Checks(Model):
    power: bool = True
    ports: bool = True
    soak: Seconds = 0.0
    tcp_port: int | None = None


class Decision(Model):
    server: str
    action: DecisionAction


class Confirmation(Model):
    policy: ConfirmationPolicy = ConfirmationPolicy.AUTOMATIC
    checks: Checks = Checks()
    on_failed_check: OnFailedCheck = OnFailedCheck.HOLD
    decisions: tuple[Decision, ...] = ()
    foreign: ForeignPolicy = ForeignPolicy.WAIT

    def decision_for(self, server_id: str) -> DecisionAction | None:
        """What a person decided for this server, if anything."""
        return next((d.action for d in self.decisions if d.server == server_id), None)


class Stop(Model):
    kind: Supervisor = Supervisor.SYSTEMD
    name: str = "nova-compute"


class Service(Model):
    after_drain: AfterDrain = AfterDrain.DELETE
    while_running: WhileRunning = WhileRunning.WAIT
    stop: Stop = Stop()


class KeyringRef(Model):
    name: str


class DrainSpec(Model):
    host: str
    cloud_credentials_ref: CloudCredentialsRef = CloudCredentialsRef()
    mode: Mode = Mode.DRAIN
    suspend: bool = False
    reason: str = ""
    migration: Migration
    servers: Servers = Servers()
    confirmation: Confirmation = Confirmation()
    service: Service = Service()
    keyring_ref: KeyringRef | None = None
    host_access: HostAccess | None = None
    on_delete: OnDelete = OnDelete.RESTORE

    @classmethod
    def read(cls, spec: object) -> Self:
        """The `spec` of a resource, as JSON. Raises InvalidSpec that names each field at fault."""
        try:
            return cls.model_validate(spec)
        except ValidationError as error:
            faults = "; ".join(
                f"spec.{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_input=False)
            )
            raise InvalidSpec(
                f"{faults}. The custom resource definition and the operator may be of different "
                "versions: "
                "install both from one release"
            ) from error
