"""PURE. What nova-compute runs as on a host, and the state that it is found in."""

import re
from dataclasses import dataclass
from typing import Self

from quiesce.api.host import Supervisor
from quiesce.ssh.errors import SSHError

HELD = "held"
"""`UnitState.boot` of a systemd unit that we keep from starting."""
_BOOT = re.compile(r"[a-z-]{1,40}(?::[0-9]{1,10})?")
"""With `running ` no longer than status.record.foundUnit may be (64 characters)."""


class StopFailed(SSHError):
    """The host answered, but nova-compute is not as it should be. Quotes the supervisor."""

    reason = "StopFailed"
    person = True


class NoSuchUnit(StopFailed):
    """There is no unit or container of that name on the host."""

    reason = "UnitNotFound"


class RunsInPod(StopFailed):
    """A kubelet started nova-compute: it would start it again."""

    reason = "RunsInPod"


class RunsElsewhere(StopFailed):
    """nova-compute runs on the host, but not as the unit or container that the spec names."""

    reason = "RunsElsewhere"


class NotNovaCompute(StopFailed):
    """The unit or container that the spec names is something else."""

    reason = "NotNovaCompute"


@dataclass(frozen=True, slots=True)
class Unit:
    """What nova-compute runs as: the name of a systemd unit or of a container."""

    supervisor: Supervisor
    name: str


@dataclass(frozen=True, slots=True)
class UnitState:
    """`running`: now. `boot`: what makes it start by itself, as the supervisor words it.

    With systemd its UnitFileState (`enabled`, `disabled`, `static`, `masked`, …), or `held` where
    we keep it from starting; with a container its restart policy (`always`, `no`, `on-failure:5`).
    Empty: the supervisor gave nothing that can be stored.
    """

    running: bool
    boot: str

    @property
    def text(self) -> str:
        """For a status: what `read` takes back."""
        return f"{'running' if self.running else 'stopped'} {self.boot or '-'}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError where it is no such text."""
        word, _, boot = text.partition(" ")
        if word not in ("running", "stopped") or not _BOOT.fullmatch(boot):
            raise ValueError(f"{text!r} is not the state of a unit")
        return cls(word == "running", "" if boot == "-" else boot)

    @classmethod
    def observed(cls, running: bool, boot: str) -> Self:
        """`boot` as a host reported it."""
        return cls(running, boot if _BOOT.fullmatch(boot) else "")
