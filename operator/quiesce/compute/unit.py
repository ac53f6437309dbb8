"""nova-compute on a host: looked at, stopped so that it stays stopped, and given back as it was found.

It may be a systemd unit, or a container of podman or docker. The scripts are made by pure functions;
names get into them quoted, and each script ends by reporting what is so then.

A unit is held by a drop-in with an assertion that never holds (systemd.unit(5), AssertPathExists=), and not disabled
and masked: mask refuses a unit whose file lies in /etc, as kolla-ansible's and TripleO's do, and makes systemd forget
how the unit is to be stopped; disable takes away links that enable does not bring back, and does nothing for a unit
that another one wants. A container is held by its restart policy.
"""

import re
import shlex
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from quiesce.ssh.errors import SSHError
from quiesce.ssh.session import SHELL, Session

PREFIX = "quiesce "
_BOOT = re.compile(r"[a-z-]+(?::[0-9]+)?")


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
    (`enabled`, `disabled`, `static`, `masked`, …; `held` where we keep it from starting), or a container's restart
    policy (`always`, `no`, `on-failure:5`, …)."""

    running: bool
    boot: str

    @property
    def text(self) -> str:
        """For a status: what `read` takes back."""
        return f"{'running' if self.running else 'stopped'} {self.boot or '-'}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises ValueError where it is none of ours."""
        word, _, boot = text.partition(" ")
        if word not in ("running", "stopped") or not _BOOT.fullmatch(boot):
            raise ValueError(f"{text!r} is not the state of a unit")
        return cls(word == "running", "" if boot == "-" else boot)


HELD = "held"
DROP_IN = """\
# Quiesce drains this host and keeps nova-compute from starting meanwhile. To end that by hand:
# remove this file, then systemctl daemon-reload.
[Unit]
AssertPathExists=/nonexistent/quiesce-drains-this-host
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What a script has found. `stays`: nothing starts it by itself. `words`: what the supervisor had to say.
    `stuck`: the version of a podman that cannot change the policy by which it would be started at boot."""

    state: UnitState
    stays: bool
    words: str
    stuck: str


def look(session: Session, unit: Unit) -> UnitState:
    """How it is now; changes nothing. Raises SSHError, NoSuchUnit, StopFailed."""
    return _run(session, unit, look_script(unit)).state


def stop(session: Session, unit: Unit) -> UnitState:
    """Stops it and keeps it from starting, at boot too. Save what `look` said before: `restore` needs it.

    What cannot be kept from starting is not stopped. Doing it twice is the same as once, also where the first
    time was cut off. Raises SSHError; StopFailed where it still runs or would come back.
    """
    done = _run(session, unit, stop_script(unit))
    if done.stuck:
        raise StopFailed(_stuck(unit, done))
    if done.state.running or not done.stays:
        raise StopFailed(
            _failed(
                f"{unit.name} was told to stop and to stay so, but it is {done.state.text}", done
            )
        )
    return done.state


def restore(session: Session, unit: Unit, found: UnitState) -> UnitState:
    """Makes it start as it did when it was found, and run if it ran then. Raises SSHError, StopFailed."""
    done = _run(session, unit, restore_script(unit, found))
    if done.words or (found.running and not done.state.running):
        raise StopFailed(
            _failed(f"{unit.name} was to be {found.text} again, and is {done.state.text}", done)
        )
    return done.state


def _failed(what: str, done: Report) -> str:
    return f"{what}: {done.words or 'see its log on the host'}"


def _stuck(unit: Unit, done: Report) -> str:
    """podman update --restart came with podman 5.1.0 (its release notes)."""
    return (
        f"{unit.name} was not stopped: podman-restart.service starts it at boot, by its restart policy {done.state.boot}, and "
        f"{done.stuck} cannot change that of a container that is there (5.1 and newer can). Create the container anew with "
        "--restart=no, let a systemd unit start it and name that one in service.stop, or, where nothing else on the host needs "
        "it, systemctl disable podman-restart.service. Or stop it yourself"
    )


def look_script(unit: Unit) -> str:
    return _script(unit, "", starter=True)


def stop_script(unit: Unit) -> str:
    """Held first, then stopped: cut off in between, it does not come back."""
    return _script(
        unit, _STOP_UNIT if unit.supervisor is Supervisor.SYSTEMD else _STOP_CONTAINER, starter=True
    )


def restore_script(unit: Unit, found: UnitState) -> str:
    start = 'tell "$tool" start -- "$unit"\n' if found.running else ""
    if unit.supervisor is not Supervisor.SYSTEMD:
        return _script(
            unit,
            f"restart={shlex.quote(found.boot or 'no')}\n{_RESTORE_POLICY}{start}",
            starter=False,
        )
    return _script(
        unit, start if found == UnitState(False, HELD) else _RELEASE_UNIT + start, starter=False
    )


_COMMON = r"""
export LC_ALL=C PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
say() { printf 'quiesce %s\n' "$*"; }
words() { say words "$(printf '%s' "$*" | tr '\n' ' ' | cut -c1-300)"; }
tell() {
    said=$("$@" 2>&1 </dev/null) && return
    words "$said"
    return 1
}
there=
"""

# The folder of drop-ins bears the unit's own name, not that of an alias.
_FIND_UNIT = r"""
show() { systemctl show -p "$1" -- "$unit" | cut -d= -f2-; }
loaded=$(show LoadState 2>&1)
case $loaded in
not-found | *' unit name'*) say absent ;;
loaded | masked | error | bad-setting) there=1 ;;
*) words "$loaded" ;;
esac
hold=/etc/systemd/system/$(show Id 2>/dev/null).d/quiesce.conf
"""

_UNIT_STATE = rf"""
case $(show ActiveState) in inactive | failed) ;; *) say running ;; esac
boot=$(show UnitFileState)
if [ -e "$hold" ]; then # systemd reads no drop-ins of a unit that somebody has masked
    case "$boot $(show DropInPaths)" in masked* | *"$hold"*) boot={HELD}; say stays ;; esac
fi
say boot "$boot"
"""

_STOP_UNIT = rf"""
hold() {{ umask 022 && mkdir -p "${{hold%/*}}" && printf '%s' {shlex.quote(DROP_IN)} >"$hold" && systemctl daemon-reload; }}
tell hold && tell systemctl stop -- "$unit"
"""

_RELEASE_UNIT = r"""
if [ -e "$hold" ]; then
    tell rm -- "$hold"
    rmdir -- "${hold%/*}" 2>/dev/null
    tell systemctl daemon-reload
fi
"""

# What a tool says besides is not what it was asked for: podman under docker's name says on each call that it is podman.
_FIND_CONTAINER = r"""
facts='{{.State.Status}} {{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}'
inspect() { "$tool" inspect --type container -f "$facts" -- "$unit"; }
inspected() {
    seen=$(inspect 2>/dev/null)
    boot=${seen#* }
    boot=${boot%:0}
}
inspected
if [ "$seen" ]; then
    there=1
else
    said=$(inspect 2>&1)
    case $said in *[Nn]'o such container'*) say absent ;; esac
    words "$said"
fi
# podman itself starts nothing at boot: podman-restart.service does, by policy. dockerd starts what has any policy.
starts_at_boot() {
    case $1 in no | '') return 1 ;; esac
    case $("$tool" --version 2>/dev/null) in podman*) ;; *) return 0 ;; esac
    systemctl -q is-enabled podman-restart.service 2>/dev/null &&
        systemctl show -p ExecStart podman-restart.service | grep -Eqw "restart-policy=${1%:*}"
}
"""

# A unit in whose file there are a start command and the container's name.
_FIND_STARTER = r"""
places='/run/systemd/generator /etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system'
for file in $(grep -REls --include='*.service' "(^|[ =\"'])$pattern([ \"']|\$)" $places); do
    grep -E '^ExecStart(Pre|Post)?=' "$file" | grep -E 'podman|docker' | grep -Eqw 'start|run' || continue
    if systemctl -q is-enabled -- "${file##*/}" 2>/dev/null || systemctl -q is-active -- "${file##*/}"; then
        say starter "${file##*/}"
        there=
        break
    fi
done
"""

_CONTAINER_STATE = r"""
inspected
case ${seen%% *} in created | configured | initialized | exited | stopped | dead) ;; *) say running ;; esac
starts_at_boot "$boot" || say stays
say boot "$boot"
"""

_STOP_CONTAINER = r"""
if case $boot in no | '') ;; *) tell "$tool" update --restart=no "$unit" ;; esac || ! starts_at_boot "$boot"; then
    tell "$tool" stop "$unit"
else
    case $("$tool" --version 2>/dev/null) in podman*) say stuck "$("$tool" --version 2>/dev/null)" ;; esac
fi
"""

_RESTORE_POLICY = r"""
[ "${boot:-no}" = "$restart" ] || tell "$tool" update "--restart=$restart" "$unit"
"""


def _script(unit: Unit, steps: str, *, starter: bool) -> str:
    """`steps` are taken where the unit is there. `starter`: and where no other unit starts it."""
    systemd = unit.supervisor is Supervisor.SYSTEMD
    tool = "systemctl" if systemd else unit.supervisor.lower()
    pattern = unit.name.replace(".", "[.]")
    values = f"unit={shlex.quote(unit.name)} tool={tool} pattern={shlex.quote(pattern)}\n"
    find, state = (_FIND_UNIT, _UNIT_STATE) if systemd else (_FIND_CONTAINER, _CONTAINER_STATE)
    if starter and not systemd:
        find += _FIND_STARTER
    there = f'if [ "$there" ]; then\n:\n{steps}{state}say exists\nfi\n'
    return f"{{\n{values}{_COMMON}{find}{there}say end\nexit 0\n}}\n"


def _run(session: Session, unit: Unit, script: str) -> Report:
    done = session.run(SHELL, script)
    lines = [
        line.removeprefix(PREFIX) for line in done.output.splitlines() if line.startswith(PREFIX)
    ]
    words = "; ".join(_said("words", lines))
    if "end" not in lines:
        raise StopFailed(
            f"the host did not report on {unit.name}: {(done.errors or done.output).strip()[-200:]}"
        )
    if "absent" in lines:
        where = f"{unit.supervisor} knows no {unit.name} on this host"
        raise NoSuchUnit(
            f"{where}{': ' + words if words else ''}. Set service.stop to how nova-compute runs there"
        )
    for other in _said("starter", lines):
        raise StopFailed(
            f"the systemd unit {other} starts the container {unit.name}, and would start it again: "
            f"set service.stop to {{kind: Systemd, name: {other}}}"
        )
    if "exists" not in lines:
        raise StopFailed(
            f"{unit.supervisor} on this host does not say how {unit.name} is: {words or done.errors.strip()[-200:]}"
        )
    boot = "".join(_said("boot", lines))
    state = UnitState("running" in lines, boot if _BOOT.fullmatch(boot) else "")
    return Report(state, "stays" in lines, words, "".join(_said("stuck", lines)))


def _said(what: str, lines: list[str]) -> list[str]:
    return [line.removeprefix(what).strip() for line in lines if line.split(" ", 1)[0] == what]
