"""PURE. The frozen values of a keyring: no I/O, no clock, no client."""

from quiesce.keyring.model.changes import Change
from quiesce.keyring.model.decision import KeyringDecision
from quiesce.keyring.model.desired import DesiredState, HostLayout
from quiesce.keyring.model.hosts import HostRecord, PathRecord
from quiesce.keyring.model.identity import Identity
from quiesce.keyring.model.key_history import KeyHistory
from quiesce.keyring.model.observation import (
    Account,
    AuthorizedLine,
    ComputeView,
    File,
    HostObservation,
    Original,
)
from quiesce.keyring.model.rotation import Rotation, RotationStep
from quiesce.keyring.model.visit import DueVisit, HostFailure, PathCheck, PathTarget, VisitResult

__all__ = [
    "Account",
    "AuthorizedLine",
    "Change",
    "ComputeView",
    "DesiredState",
    "DueVisit",
    "File",
    "HostFailure",
    "HostLayout",
    "HostObservation",
    "HostRecord",
    "Identity",
    "KeyHistory",
    "KeyringDecision",
    "Original",
    "PathCheck",
    "PathRecord",
    "PathTarget",
    "Rotation",
    "RotationStep",
    "VisitResult",
]
