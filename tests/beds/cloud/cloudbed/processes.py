"""Start, recognise and end the processes of the cloud.

A process is recorded as `<pid> <start time>` (clock ticks since boot, field 22 of
/proc/PID/stat), so a pid that the kernel has reused is never signalled.
Every recorded process leads a session of its own; ending it ends that session.
"""

from __future__ import (
    annotations,
)  # read by older releases of Nova too, on older versions of Python

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import BedError


@dataclass(frozen=True)
class Stat:
    """The part of /proc/PID/stat that tells one process from another."""

    state: str
    session: int
    started: int
    resident_pages: int


def read_stat(pid: int) -> Stat | None:
    """Return the state of a process, None if there is none with this pid."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    values = text.rpartition(")")[2].split()  # the name before it may hold spaces
    return Stat(values[0], int(values[3]), int(values[19]), int(values[21]))


def record(folder: Path, name: str, pid: int) -> None:
    """Write down a process that has just been started."""
    stat = read_stat(pid)
    if stat is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{pid} {stat.started}\n")


class Processes:
    """The recorded processes of one cloud.

    home: the folder they run in and take for their user's.
    folder: holds one file per process, named like the process.
    log: holds what they print, in `<name>.out`.
    """

    def __init__(self, home: Path, folder: Path, log: Path) -> None:
        self.home = home
        self.folder = folder
        self.log = log
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*"))

    def pid(self, name: str) -> int | None:
        """Return the pid of a recorded process that is alive."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid, started = map(int, (self.folder / name).read_text().split())
            if name in self.children:
                self.children[name].poll()  # an ended child of ours would stay a zombie
            stat = read_stat(pid)
            if stat is not None and stat.started == started and stat.state != "Z":
                return pid
        return None

    def alive(self) -> list[str]:
        return [name for name in self.names() if self.pid(name)]

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        """Start and record a process unless it runs; its output goes to the log folder.

        env: added to `clean_environment`; nothing else is inherited, nor is the folder.
        """
        if self.pid(name):
            return
        with (self.log / f"{name}.out").open("ab") as out:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**clean_environment(self.home), **(env or {})},
                cwd=self.home,
                start_new_session=True,
            )
        record(self.folder, name, child.pid)
        self.children[name] = child

    def check(self, name: str) -> None:
        """Raise BedError with the end of its output if a process has died."""
        if self.pid(name):
            return
        out = self.log / f"{name}.out"
        last = (
            "\n  ".join(out.read_text(errors="replace").splitlines()[-8:]) if out.exists() else ""
        )
        raise BedError(f"{name} has ended; the end of {out}:\n  {last}")

    def stop(self, name: str, patience: float, how: signal.Signals = signal.SIGTERM) -> None:
        """End a recorded process and its session; `patience` in seconds before SIGKILL."""
        leader = self._recorded_pid(name)
        if leader is not None and self._session(leader):
            in_order = how != signal.SIGKILL and self.pid(name)
            signal_all([leader] if in_order else self._session(leader), how)
            if not self._gone(leader, patience):
                signal_all(self._session(leader), signal.SIGKILL)
                self._gone(leader, 5)
        (self.folder / name).unlink(missing_ok=True)
        self.children.pop(name, None)

    def resident_mib(self, name: str) -> float:
        """Return the resident memory of a process and its session, shared pages included."""
        leader = self._recorded_pid(name)
        members = self._session(leader) if leader is not None else []
        pages = sum(stat.resident_pages for pid in members if (stat := read_stat(pid)))
        return pages * os.sysconf("SC_PAGESIZE") / 2**20

    def _recorded_pid(self, name: str) -> int | None:
        """Return the recorded pid unless the kernel has reused it since."""
        try:
            pid, started = map(int, (self.folder / name).read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        stat = read_stat(pid)
        # A pid is not reused while a session of that number has members.
        return pid if stat is None or stat.started == started else None

    def _session(self, leader: int) -> list[int]:
        return [
            pid for pid, stat in every_process() if stat.session == leader and stat.state != "Z"
        ]

    def _gone(self, leader: int, patience: float) -> bool:
        end = time.monotonic() + patience
        while self._session(leader):
            for child in list(self.children.values()):
                child.poll()
            if time.monotonic() > end:
                return False
            time.sleep(0.1)
        return True


def clean_environment(home: Path) -> dict[str, str]:
    """Return what a service needs of the environment; the caller's own must not change it."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return {
        "PATH": path,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "XDG_CACHE_HOME": str(home / "cache"),
    }


def every_process() -> Iterator[tuple[int, Stat]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and (stat := read_stat(int(entry.name))):
            yield int(entry.name), stat


def signal_all(pids: Sequence[int], how: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)
