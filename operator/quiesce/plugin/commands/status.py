"""`status`, once or as it changes."""

import json
from argparse import Namespace
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType

from quiesce.api.outside import cleaned
from quiesce.plugin import pages
from quiesce.plugin.document import Page, Span, line
from quiesce.plugin.exits import Exit
from quiesce.plugin.feed import Feed, News
from quiesce.plugin.session import Session
from quiesce.plugin.terminal import Live
from quiesce.plugin.view import DrainView, to_json

_SHORT = 80  # characters
_SECOND = 1.0  # between two frames of a live page: times go on


def status(session: Session, flags: Namespace) -> Exit:
    one = session.find(flags.name) if flags.name else None
    if flags.watch:
        return _watch(session, flags, one)
    if one is not None:
        views = [one]
    else:
        namespace = None if flags.all_namespaces else session.namespace
        views = [DrainView.read(each) for each in session.cluster.list(namespace)[0]]
    now = session.now
    if flags.output:
        shown = to_json(one, now) if one else {"drains": [to_json(v, now) for v in views]}
        session.say(json.dumps(shown))
    elif one is not None:
        session.screen.show(pages.drain(one, now))
    else:
        session.screen.show(_table(session, flags, views, now))
    return _code(views)


def _code(views: Iterable[DrainView]) -> Exit:
    return Exit.FAILED if any(view.is_stalled for view in views) else Exit.DONE


def _table(session: Session, flags: Namespace, views: list[DrainView], now: datetime) -> Page:
    if not views:
        where = "any namespace" if flags.all_namespaces else f"namespace {session.namespace}"
        return (line(f"no drains in {where}"),)
    return pages.overview(views, now, namespaces=flags.all_namespaces)


# As it changes


def _watch(session: Session, flags: Namespace, one: DrainView | None) -> Exit:
    live = None if flags.output else session.screen.live()
    show = _Frames(session, flags, one, live) if live else _Changes(session, flags)
    namespace = None if flags.all_namespaces and one is None else session.namespace
    with Feed(session.cluster, namespace, one.name if one else None) as feed, show:
        last = _follow(feed, show, one)
    if last is not None:
        session.say(f"drain {last.name} is gone: {last.left}")
    return Exit.DONE


def _follow(feed: Feed, show: "_Frames | _Changes", one: DrainView | None) -> DrainView | None:
    """Until the drain has reached what its spec asks for (None), or is gone: as it was last.

    Without a drain it does not end.
    """
    news: News | None = None
    last = one
    while True:
        news = feed.next(_SECOND) or news
        if news is None:
            continue
        views = [DrainView.read(each) for each in news.drains]
        show.show(views, news.silence)
        if last is None or news.silence:
            continue
        mine = next((view for view in views if view.uid == last.uid), None)
        if mine is None:
            return last
        if mine.is_at_goal:
            return None
        last = mine


class _Frames(AbstractContextManager["_Frames"]):
    """One live page in a terminal."""

    def __init__(
        self, session: Session, flags: Namespace, one: DrainView | None, live: Live
    ) -> None:
        self._session, self._flags, self._one, self._live = session, flags, one, live

    def __enter__(self) -> "_Frames":
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def show(self, views: list[DrainView], silence: str) -> None:
        now, note = self._session.now, _note(silence)
        if self._one is None:
            page = _table(self._session, self._flags, views, now)
        elif views:
            columns, lines = self._live.size
            page = pages.drain(views[0], now, (columns, lines - len(note)))
        else:
            return
        self._live.show((*page, *note))


def _note(silence: str) -> Page:
    """What is shown is no longer the newest."""
    if not silence:
        return ()
    return (line(Span(f"no news, trying again: {cleaned(silence, _SHORT)}", "bad")),)


class _Changes(AbstractContextManager["_Changes"]):
    """For pipes: a line where a line of the table, a move's state or a problem is new."""

    def __init__(self, session: Session, flags: Namespace) -> None:
        self._session, self._flags = session, flags
        self._shown: dict[str, tuple[str, ...]] = {}
        self._last: dict[str, DrainView] = {}

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, views: list[DrainView], silence: str) -> None:
        for view in views:
            self._last[view.uid] = view
            lines = pages.changes(view)
            before = self._shown.get(view.uid, ())
            self._shown[view.uid] = lines
            if lines == before:
                continue
            if self._flags.output:
                self._session.say(json.dumps(to_json(view, self._session.now)))
                continue
            stamp = self._session.now.strftime("%H:%M:%SZ")
            for text in lines:
                if text not in before:
                    self._session.say(f"{stamp} {view.namespace}/{view.name} {text}")
        if not silence and not self._flags.output:
            self._say_what_is_gone({view.uid for view in views})

    def _say_what_is_gone(self, present: set[str]) -> None:
        for uid in self._last.keys() - present:
            last = self._last.pop(uid)
            if self._flags.name is None:  # else it is said at the end
                self._session.say(f"drain {last.namespace}/{last.name} is gone: {last.left}")
