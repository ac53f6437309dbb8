"""What an answer of OpenStack means for a caller.

A refusal is a fact: the request had no effect. Everything else that is not a success is *unknown*:
the request may have taken effect, so it is never sent again; the next tick observes.
"""

from quiesce.api.errors import CloudUnreachable, NotAllowed


class Refused(Exception):
    """HTTP 4xx to a write: Nova refused the request. Nothing has changed."""

    def __init__(self, status: int, message: str, request_id: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.request_id = request_id


class NotFound(Refused):
    """HTTP 404."""


class Forbidden(NotAllowed):
    """HTTP 403 to a write.

    Of an action on one server it may be about that server alone: until Xena Nova answers so for
    one with an accelerator (nova/exception.py ForbiddenWithAccelerators).
    """

    def __init__(self, text: str, message: str, request_id: str | None) -> None:
        super().__init__(text)
        self.refusal = Refused(403, message, request_id)


class NotInCatalog(Exception):
    """The cloud has no such service (placement, network) in its catalog."""


class Unknown(CloudUnreachable):
    """A write without a trustworthy answer: it may or may not have happened."""
