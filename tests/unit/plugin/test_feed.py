"""Drains as they change, through watches that end, expire and break."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from quiesce.kube.errors import KubeError, KubeExpired, KubeForbidden, KubeUnavailable
from quiesce.plugin.feed import Feed, News

Json = dict[str, Any]
Listing = list[Json] | KubeError
Events = list[tuple[str, Json] | KubeError]

PATIENCE = 30.0  # seconds: nothing here takes so long


def drain(name: str, phase: str = "Pending") -> Json:
    return {"metadata": {"namespace": "ns", "name": name}, "status": {"phase": phase}}


class Script:
    """Answers of an API server: what is listed, each time with what is watched then. After the
    last one it does not answer.
    """

    def __init__(self, *parts: tuple[Listing, Events]) -> None:
        self._parts = list(parts)
        self._events: Events = []
        self._ended = threading.Event()
        self._lists = 0

    def list(self, namespace: str | None, name: str | None) -> tuple[list[Json], str]:
        if not self._parts:
            self._ended.wait(PATIENCE)
            raise KubeUnavailable("the script has ended")
        listing, self._events = self._parts.pop(0)
        if isinstance(listing, KubeError):
            raise listing
        self._lists += 1
        return listing, str(self._lists)

    def watch(
        self, namespace: str | None, name: str | None, version: str
    ) -> Iterator[tuple[str, Json]]:
        assert version == str(self._lists)
        for event in self._events:
            if isinstance(event, KubeError):
                raise event
            yield event

    def end(self) -> None:
        self._ended.set()


def first(source: Script, wanted: Callable[[News], bool]) -> News:
    """The first news for which that is true."""
    with Feed(source, "ns", None, pauses=(0.0,)) as feed:
        try:
            while True:
                news = feed.next(PATIENCE)
                assert news is not None
                if wanted(news):
                    return news
        finally:
            source.end()


def phases(news: News) -> dict[str, str]:
    return {each["metadata"]["name"]: each["status"]["phase"] for each in news.drains}


def test_changes_are_seen_and_what_is_deleted_is_gone() -> None:
    events: Events = [
        ("MODIFIED", drain("a", "Draining")),
        ("BOOKMARK", {"metadata": {}}),
        ("ADDED", drain("b")),
        ("DELETED", drain("a")),
    ]
    source = Script(([drain("a")], events))
    assert first(source, lambda news: phases(news) == {"b": "Pending"})


@pytest.mark.parametrize(
    "broken",
    [
        [KubeUnavailable("the watch was cut")],
        [KubeExpired("too old")],
        [],  # the API server ends it after some minutes
    ],
)
def test_a_watch_that_ends_is_begun_again_with_a_list(broken: Events) -> None:
    source = Script(
        ([drain("a"), drain("b")], broken),
        ([drain("a", "Drained")], [("MODIFIED", drain("a", "Deleted"))]),
    )
    assert first(source, lambda news: phases(news) == {"a": "Deleted"})


def test_while_the_api_server_is_silent_the_last_state_is_kept_and_it_is_said() -> None:
    down = KubeUnavailable("the API server does not answer")
    source = Script(([drain("a", "Draining")], [down]), (down, []), (down, []))
    news = first(source, lambda news: bool(news.silence))
    assert news.silence == "the API server does not answer"
    assert phases(news) == {"a": "Draining"}


def test_what_will_not_pass_ends_it() -> None:
    with pytest.raises(KubeForbidden):
        first(Script((KubeForbidden("HTTP 403"), [])), lambda news: True)
