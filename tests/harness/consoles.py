"""Consoles read all the time: nothing is missed that a guest shows in between."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence

from tests.harness.hypervisors import INSTANCES, Guest, Host, Hypervisors, Report, reports

PAUSE = 1.0  # seconds between two looks; the end of a console holds some 25 seconds
SCRIPT = f"""
for folder in {INSTANCES}/*-*-*-*-*; do
    printf '\\nCONSOLE %s\\n' "${{folder##*/}}" # the last line of a console may have no end yet
    tail -c 2000 $folder/console.log 2>/dev/null || :
done
"""


class Consoles:
    """While its `with` block runs, every report of the guests is collected, on whichever host.

    A host that is switched off meanwhile shows nothing.
    """

    def __init__(self, hypervisors: Hypervisors, guests: Iterable[Guest]) -> None:
        self.hosts = hypervisors.hosts
        self.shown: dict[str, dict[tuple[str, Report], None]] = {g.id: {} for g in guests}
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._watch, args=(host,), daemon=True) for host in self.hosts
        ]

    def __enter__(self) -> Consoles:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def of(self, guest: Guest) -> Sequence[tuple[str, Report]]:
        """(host, report), each once, in the order in which they were first seen."""
        return list(self.shown[guest.id])

    def _watch(self, host: Host) -> None:
        while True:
            over = self._over.is_set()  # before the look: the last one is after the block's end
            if host.machine.tree.runs:
                self._look(host)
            if over:
                return
            self._over.wait(PAUSE)

    def _look(self, host: Host) -> None:
        for console in re.split(r"^CONSOLE ", host.run(SCRIPT), flags=re.MULTILINE)[1:]:
            server_id, _, text = console.partition("\n")
            for report in reports(text):
                if server_id in self.shown:
                    self.shown[server_id].setdefault((host.name, report))


def counted_on(shown: Sequence[tuple[str, Report]], hosts: Sequence[str]) -> None:
    """One boot counted from host to host: no number twice, none lower on the next host."""
    others = [(host, r) for host, r in shown if r.boot_id != shown[0][1].boot_id]
    assert not others
    assert list(dict.fromkeys(host for host, _ in shown)) == list(hosts)
    counters = [report.counter for host in hosts for at, report in shown if at == host]
    assert counters == sorted(set(counters)), counters
    assert all(report.whole for _, report in shown)
