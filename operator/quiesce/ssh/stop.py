"""nova-compute on a host: looked at, stopped so that it stays stopped, and given back as it was found.

It may be a systemd unit, or a container of podman or docker. The scripts are made by pure functions;
names get into them quoted, and each script ends by reporting what is so then.
"""

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from quiesce.ssh.errors import SSHError
from quiesce.ssh.session import SHELL, Session

PREFIX = "quiesce "


class Supervisor(StrEnum):
    SYSTEMD = "Systemd"
    PODMAN = "Podman"
    DOCKER = "Docker"


class StopFailed(SSHError):
    """The host answered, but nova-compute is not as it should be. The text has the supervisor's own words."""

    reason = "StopFailed"
    person = True


class NoSuchUnit(StopFailed):
    """There is no unit or container of that name on the host."""

    reason = "UnitNotFound"


@dataclass(frozen=True, slots=True)
class Unit:
    """What nova-compute runs as: the name of a systemd unit or of a container."""

    supervisor: Supervisor
    name: str


@dataclass(frozen=True, slots=True)
class UnitState:
    """`running`: now. `boot`: what makes it start by itself, as the supervisor words it: systemd's UnitFileState
    (`enabled`, `disabled`, `static`, `masked`, …), or a container's restart policy (`always`, `no`, …)."""

    running: bool
    boot: str

    @property
    def stays_down(self) -> bool:
        return not self.running and self.boot in ("disabled", "masked", "masked-runtime", "no", "")

    @property
    def text(self) -> str:
        """For a status: what `read` takes back."""
        return f"{'running' if self.running else 'stopped'} {self.boot or '-'}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError where it is none of ours."""
        found = re.fullmatch(r"(running|stopped) ([a-z-]+)", text)
        if not found:
            raise ValueError(f"{text!r} is not the state of a unit")
        return cls(found[1] == "running", "" if found[2] == "-" else found[2])


def look(session: Session, unit: Unit) -> UnitState:
    """How it is now; changes nothing. Raises SSHError, NoSuchUnit."""
    return _run(session, unit, look_script(unit))


def stop(session: Session, unit: Unit) -> UnitState:
    """Stops it and keeps it from starting, at boot too. Save what `look` said before: `restore` needs it.

    Doing it twice is the same as once. Raises SSHError; StopFailed where it still runs or would come back.
    """
    state = _run(session, unit, stop_script(unit))
    if not state.stays_down:
        raise StopFailed(f"{unit.name} was told to stop, but it is {state.text}: see to it on the host")
    return state


def restore(session: Session, unit: Unit, found: UnitState) -> UnitState:
    """Makes it start as it did when it was found, and run if it ran then. Raises SSHError, StopFailed."""
    state = _run(session, unit, restore_script(unit, found))
    if found.running and not state.running:
        raise StopFailed(f"{unit.name} was told to start, but it is {state.text}: see its log on the host")
    return state


def look_script(unit: Unit) -> str:
    return _script(unit, "")


def stop_script(unit: Unit) -> str:
    """systemd: stopped, disabled and, where its file allows that (one in /etc does not), masked."""
    if unit.supervisor is Supervisor.SYSTEMD:
        return _script(
            unit,
            'tell systemctl disable --now -- "$unit"\n'
            'tell systemctl stop -- "$unit"\n'
            'systemctl mask -- "$unit" >/dev/null 2>&1 || :\n',
        )
    return _script(unit, 'tell "$tool" update --restart=no "$unit"\ntell "$tool" stop "$unit"\n')


def restore_script(unit: Unit, found: UnitState) -> str:
    if unit.supervisor is Supervisor.SYSTEMD:
        steps = [] if found.boot.startswith("masked") else ['tell systemctl unmask -- "$unit"']
        if found.boot == "enabled":
            steps.append('tell systemctl enable -- "$unit"')
        if found.running:
            steps.append('tell systemctl start -- "$unit"')
    else:
        steps = [f'tell "$tool" update --restart={shlex.quote(found.boot or "no")} "$unit"']
        if found.running:
            steps.append('tell "$tool" start "$unit"')
    return _script(unit, "".join(f"{step}\n" for step in steps))


_SYSTEMD_STATE = r"""
show() { systemctl show -p "$1" -- "$unit" 2>/dev/null | cut -d= -f2; }
case $(show LoadState) in loaded | masked) say exists ;; esac
case $(show ActiveState) in inactive | failed) ;; *) say running ;; esac
say boot "$(show UnitFileState)"
"""

_CONTAINER_STATE = r"""
if state=$("$tool" inspect --type container -f '{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}' "$unit" 2>&1)
then
    say exists
    case $state in true*) say running ;; esac
    say boot "${state#* }"
else
    say words "$state"
fi
"""

_COMMON = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
say() { printf 'quiesce %s\n' "$*"; }
tell() { words=$("$@" 2>&1 </dev/null) || say words "$(printf '%s' "$words" | tr '\n' ' ' | cut -c1-300)"; }
"""


def _script(unit: Unit, steps: str) -> str:
    state = _SYSTEMD_STATE if unit.supervisor is Supervisor.SYSTEMD else _CONTAINER_STATE
    values = f"unit={shlex.quote(unit.name)} tool={unit.supervisor.lower()}\n"
    return f"{{\n{values}{_COMMON}{steps}{state}say end\nexit 0\n}}\n"


def _run(session: Session, unit: Unit, script: str) -> UnitState:
    done = session.run(SHELL, script)
    lines = [line.removeprefix(PREFIX) for line in done.output.splitlines() if line.startswith(PREFIX)]
    words = "; ".join(line.removeprefix("words ") for line in lines if line.startswith("words "))
    if "end" not in lines:
        raise StopFailed(f"the host did not report on {unit.name}: {(done.errors or done.output).strip()[-200:]}")
    if "exists" not in lines:
        where = f"{unit.supervisor} knows no {unit.name} on this host"
        raise NoSuchUnit(f"{where}{': ' + words if words else ''}. Set service.stop to how nova-compute runs there")
    boot = next((line.removeprefix("boot").strip() for line in lines if line.startswith("boot")), "")
    state = UnitState("running" in lines, boot if re.fullmatch(r"[a-z-]*", boot) else "")
    if words and state.running:
        raise StopFailed(f"{unit.name}: {words}")
    return state
