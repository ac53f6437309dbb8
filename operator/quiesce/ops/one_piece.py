"""Requests over HTTP that are sent whole, right after the check that they may be.

http.client sends the head and then the body. A process that is stopped between the two is answered
when it goes on: the server has waited for the body, and carries out a request that was allowed
minutes ago. Sent by one call, a request has left before such a stop, or is checked after it.
"""

from typing import Any

from quiesce.ops import leadership


def changes(method: str) -> bool:
    """Whether such a request may change something."""
    return method not in ("GET", "HEAD")


class InOnePiece:
    """Before urllib3's HTTPConnection or HTTPSConnection in the bases of a class."""

    _held: bytearray | None = None

    def request(self: Any, method: str, *args: Any, **options: Any) -> None:
        """Raises NotLeading where it may change something."""
        self._held = bytearray()
        try:
            super().request(method, *args, **options)  # type: ignore[misc]
        finally:
            whole, self._held = bytes(self._held), None
        if self.sock is None:
            self.connect()
        if changes(method):
            leadership.check()
        self.send(whole)

    def send(self: Any, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held += data
