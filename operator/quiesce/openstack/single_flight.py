"""One call for all threads that ask for the same at the same time."""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[Hashable, Future[T]] = {}

    def run(self, key: Hashable, call: Callable[[], T], timeout: float) -> T:
        """What `call` returns, or raises, in this thread or in another one that makes it right now.

        Raises TimeoutError where the other one has not ended after so many seconds.
        """
        with self._lock:
            other = self._calls.get(key)
            own: Future[T] = Future()
            if other is None:
                self._calls[key] = own
        if other is not None:
            return other.result(timeout)
        try:
            found = call()
        except BaseException as error:
            own.set_exception(error)
            raise
        else:
            own.set_result(found)
            return found
        finally:
            with self._lock:
                del self._calls[key]
