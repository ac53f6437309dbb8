"""Errors that become conditions: the type says whether waiting helps, `reason` is the cause."""

from typing import ClassVar


class Problem(Exception):
    """What keeps a resource from its goal. The text is for the person who reads the status."""

    reason: ClassVar[str]


class Terminal(Problem):
    """Waiting does not help: a person has to change something. Shown as `Stalled=True`."""


class Transient(Problem):
    """May pass by itself; retried with back-off. Shown as `Reconciling=True`.

    `retry_after`: seconds to wait, where the other side named some. `call`: method and route, where
    it is about one; back-off counts each for itself.
    """

    call = ""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidSpec(Terminal):
    reason = "InvalidSpec"


class HostNotFound(Terminal):
    reason = "HostNotFound"


class HostNotSupported(Terminal):
    """Its nova-compute is of several hypervisors, or of bare metal."""

    reason = "HostNotSupported"


class HostTaken(Terminal):
    reason = "HostTaken"


class BadCredentials(Terminal):
    """The Secret is missing, malformed, or refused by Keystone."""

    reason = "BadCredentials"


class NotAllowed(Terminal):
    """The credentials are right but lack a permission (HTTP 403)."""

    reason = "NotAllowed"


class CloudTooOld(Terminal):
    """Nova lacks what a safe drain needs (microversion 2.80, release Ussuri)."""

    reason = "CloudTooOld"


class BadHostAccess(Terminal):
    """The login key or the pinned host keys are missing or cannot be used."""

    reason = "BadHostAccess"


class ForeignSecret(Terminal):
    """A Secret has the name of one that the operator makes, and is another one."""

    reason = "ForeignSecret"


class HostAsked(Transient):
    """Where several operators share the drains: stored before those of the others are read."""

    reason = "HostAsked"


class CloudUnreachable(Transient):
    """No answer, or one that proves nothing: refused, reset, timed out, 5xx, 429, broken JSON."""

    reason = "CloudUnreachable"


class InternalError(Transient):
    """A defect of the operator. The text has a reference to the traceback in the log."""

    reason = "InternalError"
