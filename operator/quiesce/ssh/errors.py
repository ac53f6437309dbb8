"""Why a host could not be worked on over SSH, as types: `reason` is what people see.

`person`: waiting does not help, a person has to change something.
"""

from collections.abc import Iterable
from typing import ClassVar


class SSHError(Exception):
    """One host could not be reached, or a command there did not end as it should.

    The text says what is wrong, in one sentence. `remedies`: what a person can do about it, each a
    sentence or a command.
    """

    reason: ClassVar[str] = "SSHFailed"
    person: ClassVar[bool] = False

    def __init__(self, message: str, remedies: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.remedies = tuple(remedies)


class ConnectionRefused(SSHError):
    reason = "Refused"


class Unreachable(SSHError):
    """No route, or the name has no address."""

    reason = "Unreachable"


class TimedOut(SSHError):
    """No answer in time: the host is down, a firewall drops packets, or it is very slow."""

    reason = "Timeout"


class TooManySessions(SSHError):
    """Others work on their hosts just now; nothing was tried."""

    reason = "TooManySessions"


class SentTooMuch(SSHError):
    """What answers there sends without end, or claims to."""

    reason = "SentTooMuch"


class HostKeyUnknown(SSHError):
    """No key of this host is pinned. The text shows the fingerprint that it presents."""

    reason = "HostKeyUnknown"
    person = True


class HostKeyMismatch(SSHError):
    """The host presents another key than the pinned ones. The text shows both fingerprints."""

    reason = "HostKeyMismatch"
    person = True


class PermissionDenied(SSHError):
    """The host refuses the operator's key for this user, or the user may not become root."""

    reason = "PermissionDenied"
    person = True


class BadKey(SSHError):
    """A private key or a known_hosts file cannot be used. The text never shows the key."""

    reason = "BadKey"
    person = True
