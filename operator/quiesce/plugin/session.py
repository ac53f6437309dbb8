"""What every command needs: the cluster, the screen, and a person who may be asked."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from quiesce.api.outside import cleaned
from quiesce.api.text import some
from quiesce.kube.errors import KubeConflict
from quiesce.plugin.cluster import Cluster
from quiesce.plugin.document import line
from quiesce.plugin.exits import Failed, Misused
from quiesce.plugin.feed import Feed
from quiesce.plugin.terminal import Screen
from quiesce.plugin.view import DrainView

Json = dict[str, Any]

_WRITES = 8  # attempts of a write that others' writes come before
_TICK = 0.5  # seconds: how soon Ctrl-C is noticed


@dataclass(frozen=True)
class Session:
    cluster: Cluster
    screen: Screen

    @property
    def namespace(self) -> str:
        return self.cluster.namespace

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)

    def say(self, text: str) -> None:
        self.screen.show((line(text),))

    def ask(self, question: str, *, yes: bool) -> None:
        """Returns where the answer is yes. Raises Failed, or Misused where nobody can answer."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise Misused(f"{question} Nobody can be asked here: add --yes")
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Failed("nothing was changed")

    def find(self, word: str) -> DrainView:
        """By its name, or by the host that it is for. Raises Failed."""
        found = self.cluster.get(self.namespace, word)
        if found is not None:
            return DrainView.read(found)
        views = self.views()
        of_host = [view for view in views if view.host == word]
        if len(of_host) == 1:
            return of_host[0]
        names = some((view.name for view in views), 10)
        there = f"there are: {names}" if names else "there are none"
        if of_host:
            there = f"several are for this host: {some(view.name for view in of_host)}"
        raise Failed(f"no drain {cleaned(word)} in namespace {self.namespace}; {there}")

    def views(self) -> list[DrainView]:
        return [DrainView.read(each) for each in self.cluster.list(self.namespace)[0]]

    def write(self, view: DrainView, body_for: Callable[[DrainView], Json]) -> DrainView:
        """Patches it; again with what it is then where another write came first. Raises Failed."""
        for _ in range(_WRITES):
            try:
                patched = self.cluster.patch(view.namespace, view.name, body_for(view))
            except KubeConflict:
                view = self.again(view)
            else:
                return DrainView.read(patched)
        raise Failed(f"drain {view.name} changes too quickly: nothing was written; try again")

    def again(self, view: DrainView) -> DrainView:
        """As it is now. Raises Failed where it is gone."""
        found = self.cluster.get(view.namespace, view.name)
        if found is None or (now := DrainView.read(found)).uid != view.uid:
            raise Failed(f"drain {view.name} was deleted meanwhile")
        return now

    def wait(
        self,
        view: DrainView,
        seconds: float,
        until: Callable[[DrainView], bool],
        each: Callable[[DrainView], None] | None = None,
    ) -> DrainView | None:
        """The drain once `until` holds, or as it is after so many seconds; None: it is gone.
        `each` sees every state in between.
        """
        end, last = time.monotonic() + seconds, view
        with Feed(self.cluster, view.namespace, view.name) as feed:
            while (left := end - time.monotonic()) > 0:
                news = feed.next(min(_TICK, left))
                if news is None or news.silence:
                    continue
                found = [v for v in map(DrainView.read, news.drains) if v.uid == view.uid]
                if not found:
                    return None
                last = found[0]
                if until(last):
                    return last
                if each is not None:
                    each(last)
        return last
