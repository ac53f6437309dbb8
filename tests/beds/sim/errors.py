"""Refusals of the APIs, and failures of work inside the cloud."""


class ApiError(Exception):
    """A request is refused; `status` and `message` are what the client is told."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class BadRequestError(ApiError):
    status = 400


class UnauthorizedError(ApiError):
    status = 401


class ForbiddenError(ApiError):
    status = 403


class NotFoundError(ApiError):
    status = 404


class NotAcceptableError(ApiError):
    status = 406


class ConflictError(ApiError):
    status = 409


class UnexpectedApiError(ApiError):
    """What Nova answers when an exception reaches its outermost layer."""

    def __init__(self, exception: str) -> None:
        super().__init__(
            "Unexpected API Error. Please report this at http://bugs.launchpad.net/nova/ and attach"
            f" the Nova API log if possible.\n<class 'nova.exception.{exception}'>"
        )


class WorkError(Exception):
    """Work in a conductor or nova-compute failed with a Nova exception of the name `kind`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class RollbackError(WorkError):
    """InstanceFaultRollback: the server goes back to the state it came from; `inner` tells why."""

    def __init__(self, inner: str) -> None:
        super().__init__("InstanceFaultRollback", f"Instance rollback performed due to: {inner}")
        self.inner = inner


class NoValidHostError(WorkError):
    def __init__(self, reason: str) -> None:
        super().__init__("NoValidHost", f"No valid host was found. {reason}")


class MaxRetriesError(NoValidHostError):
    """No host takes it, in other words: a subclass of NoValidHost in nova/exception.py too."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.kind = "MaxRetriesExceeded"
        self.message = f"Exceeded maximum number of retries. {reason}"


class ServerGoneError(WorkError):
    """The server was deleted while work on it went on."""

    def __init__(self, server: str) -> None:
        super().__init__("InstanceNotFound", f"Instance {server} could not be found.")
