"""nova-compute on a host: observed, stopped so that it stays so, and restored."""

import re
from dataclasses import dataclass

from quiesce.api.outside import cleaned
from quiesce.compute.model import (
    NoSuchUnit,
    NotNovaCompute,
    RunsElsewhere,
    RunsInPod,
    StopFailed,
    Unit,
    UnitState,
)
from quiesce.compute.scripts import observe_script, restore_script, stop_script
from quiesce.ssh.session import Session

_PREFIX = "quiesce "
_UNIT_NAME = r"[A-Za-z0-9:_.@\\-]{1,255}"
_SET_STOP = "Set service.stop to how nova-compute runs there"


@dataclass(frozen=True, slots=True)
class _Report:
    """What a script has found.

    `proven`: that it is nova-compute; else nothing was done. `runs`: the program that runs there
    instead. `stays`: nothing starts it by itself. `message`: of the supervisor. `stuck`: the
    version of a podman that cannot change the policy by which it would be started at boot.
    """

    state: UnitState
    proven: bool
    runs: str
    stays: bool
    message: str
    stuck: str


def observe(session: Session, unit: Unit) -> UnitState:
    """How it is now; changes nothing. Raises SSHError, NoSuchUnit, NotNovaCompute, StopFailed."""
    return _of_nova(unit, _run(session, unit, observe_script(unit))).state


def stop(session: Session, unit: Unit) -> UnitState:
    """Stops it and keeps it from starting, at boot too.

    Save what `observe` returned before: `restore` needs it. What cannot be kept from starting is
    not stopped, nor is what is not proven to be nova-compute. Doing it twice is the same as once,
    also where the first time was cut off.
    Raises SSHError, NotNovaCompute; StopFailed where it still runs or would come back.
    """
    report = _of_nova(unit, _run(session, unit, stop_script(unit)))
    if report.stuck:
        raise _restarted_at_boot(unit, report)
    if report.state.running or not report.stays:
        raise StopFailed(f"{unit.name} did not stop: it is {report.state.text}{_detail(report)}")
    return report.state


def restore(session: Session, unit: Unit, found: UnitState) -> UnitState:
    """Makes it start as it did when it was found, and run if it ran then.

    Raises SSHError, NotNovaCompute, StopFailed.
    """
    report = _run(session, unit, restore_script(unit, found))
    if report.state != found:
        _of_nova(unit, report)
    if report.message or (found.running and not report.state.running):
        raise StopFailed(
            f"{unit.name} is {report.state.text}, and was {found.text} when it was found"
            f"{_detail(report)}"
        )
    return report.state


def _of_nova(unit: Unit, report: _Report) -> _Report:
    if report.proven:
        return report
    raise NotNovaCompute(
        f"{unit.name} is not nova-compute, and was left alone: "
        + (f"what runs there is {report.runs}" if report.runs else "nothing there starts it"),
        [_SET_STOP],
    )


def _detail(report: _Report) -> str:
    return f": {report.message or 'see its log on the host'}"


def _restarted_at_boot(unit: Unit, report: _Report) -> StopFailed:
    """podman update --restart came with podman 5.1.0 (its release notes)."""
    policy = report.state.boot
    return StopFailed(
        f"{unit.name} was not stopped: podman-restart.service starts it at boot (policy {policy}), "
        f"and {report.stuck} cannot change that",
        [
            "Create the container again with --restart=no",
            "Let a systemd unit start it, and name that unit in service.stop",
            "Where nothing else needs it: systemctl disable podman-restart.service",
            "Upgrade to podman 5.1 or newer",
            "Stop nova-compute yourself",
        ],
    )


def _run(session: Session, unit: Unit, script: str) -> _Report:
    done = session.run_script(script)
    lines = [
        line.removeprefix(_PREFIX) for line in done.output.split("\n") if line.startswith(_PREFIX)
    ]
    message = cleaned("; ".join(_values("message", lines)))
    if "end" not in lines:
        tail = _tail(done.errors or done.output)
        raise StopFailed(f"the host sent no complete report on {unit.name}: {tail}")
    for other in filter(re.compile(_UNIT_NAME).fullmatch, _values("starter", lines)):
        raise StopFailed(
            f"the systemd unit {other} starts the container {unit.name}, and would start it again",
            [f"Set service.stop to {{kind: Systemd, name: {other}}}"],
        )
    proof = "".join(_values("proof", lines))
    others = set(_values("process", lines))
    known = "exists" in lines or "absent" in lines
    elsewhere = "running" not in lines or "pod" in others
    if known and elsewhere and proof not in ("process", "held"):
        _refuse_others(unit, others, absent="absent" in lines)
    if "absent" in lines:
        raise NoSuchUnit(
            f"{unit.supervisor} has no {unit.name} on this host{f': {message}' if message else ''}",
            [_SET_STOP],
        )
    if "exists" not in lines:
        detail = message or _tail(done.errors)
        raise StopFailed(f"{unit.supervisor} did not report the state of {unit.name}: {detail}")
    state = UnitState.observed("running" in lines, "".join(_values("boot", lines)))
    return _Report(
        state,
        proven=bool(proof),
        runs=cleaned("".join(_values("runs", lines)), 100),
        stays="stays" in lines,
        message=message,
        stuck=cleaned("".join(_values("stuck", lines)), 60),
    )


def _refuse_others(unit: Unit, others: set[str], *, absent: bool) -> None:
    """`others`: what the nova-compute processes on the host belong to, although the unit does not
    run or is something else. Raises RunsInPod, RunsElsewhere.
    """
    if "pod" in others:
        raise RunsInPod(
            "nova-compute runs in a Kubernetes pod on this host, which the operator does not stop",
            [
                "Set service.whileRunning to Wait",
                "Once the drain is Drained, keep the pod off the node yourself: remove the label "
                "that its DaemonSet selects (openstack-helm: kubectl label node NODE "
                "openstack-compute-node-). The service is deleted when Nova reports it down",
            ],
        )
    if others and not absent:
        raise RunsElsewhere(
            f"nova-compute runs on this host, but not as {unit.name}",
            [_SET_STOP],
        )


def _tail(text: str) -> str:
    return cleaned(text.strip().rpartition("\n")[2], 100)


def _values(word: str, lines: list[str]) -> list[str]:
    return [line.removeprefix(word).strip() for line in lines if line.split(" ", 1)[0] == word]
