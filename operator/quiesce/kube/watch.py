"""The watch stream, by kopf. Nothing else of kopf is used, and it writes nothing to any object.

One event handler a kind hands over keys. kopf also installs the handlers of SIGTERM and SIGINT.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import kopf

from quiesce.api.annotations import GROUP, VERSION
from quiesce.kube.resource import Resource
from quiesce.kube.store import PAGE

OnEvent = Callable[[Resource, bool], None]
"""Called with every object that is listed or changed; True: it is gone."""

_LOGIN_TRIES = 3


class _NothingIsCompared(kopf.DiffBaseStorage):
    """With each event kopf copies the object, and reads from an annotation, which anyone may write,
    how it was when last handled; an event with one that is no JSON is dropped. All of that is for
    handlers of changes, of which there are none.
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Only handlers of changes ask for it."""


class WatchLost(Exception):
    """The watch has ended by itself. Without it only the relist remains: end the process."""


def watch(
    listeners: Mapping[str, OnEvent],
    namespaces: Sequence[str] | None,
    login: Callable[[], kopf.ConnectionInfo],
) -> None:
    """In the main thread, until SIGTERM or SIGINT. `listeners`: by plural. Raises WatchLost."""
    registry = kopf.OperatorRegistry()
    _log_in_with(registry, login)
    for plural, listener in listeners.items():
        _listen(registry, plural, listener)
    where: dict[str, Any] = (
        {"clusterwide": True} if namespaces is None else {"namespaces": list(namespaces)}
    )
    try:
        asyncio.run(
            _until_signalled(registry=registry, settings=_settings(), standalone=True, **where)
        )
    except Exception as error:
        raise WatchLost(f"{type(error).__name__}: {error}") from error


async def _until_signalled(**options: Any) -> None:
    """kopf handles signals only once it has started; until then they cancel it.

    Its own stop flag does not help: the task that waits for it delays every other exit by 5 s.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - inside asyncio.run() there is one
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await kopf.operator(**options)


def _log_in_with(registry: kopf.OperatorRegistry, login: Callable[[], kopf.ConnectionInfo]) -> None:
    @kopf.on.login(registry=registry, retries=_LOGIN_TRIES, backoff=2)
    def log_in(**_: Any) -> kopf.ConnectionInfo:
        return login()


def _listen(registry: kopf.OperatorRegistry, plural: str, listener: OnEvent) -> None:
    @kopf.on.event(GROUP, VERSION, plural, registry=registry)
    async def on_event(event: Any, **_: Any) -> None:
        listener(Resource(event["object"]), event["type"] == "DELETED")


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # No right to list CRDs or namespaces is needed: the CRD is checked by `served_plurals`.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70  # the API server sends a bookmark a minute
    settings.watching.reconnect_backoff = 1
    settings.watching.chunk_size = PAGE
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = (1, 2, 5, 10, 20, 30)
    settings.networking.enforce_retry_after = True
    settings.persistence.diffbase_storage = _NothingIsCompared()
    # Never set on any object; it only must not be kopf's own name.
    settings.persistence.finalizer = f"{GROUP}/unused"
    settings.process.ultimate_exiting_timeout = 60
    return settings
