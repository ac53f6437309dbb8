"""Exit codes of the program, for people, scripts and the kubelet."""

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """The value is the code, `cause` the text in `--help`."""

    cause: str

    def __new__(cls, code: int, cause: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.cause = cause
        return member


class Exit(ExitCode):
    """Of `quiesce run`."""

    OK = 0, "ended by SIGTERM or SIGINT"
    BUG = 1, "unexpected error: a bug; the log has a traceback"
    USAGE = 2, "invalid flag or QUIESCE_ variable, or the --listen address is unavailable"
    NO_CRD = 3, "the ComputeNodeDrain CRD is not installed: kubectl apply -k crds"
    NO_API = 4, "at start: no kubeconfig or service account, or no access to the API server"
    WATCH_LOST = 5, "the watch on the API server failed permanently: restart, nothing is lost"
    LEASE_LOST = 6, "lost the Lease to another process or to time: restart, nothing is lost"
