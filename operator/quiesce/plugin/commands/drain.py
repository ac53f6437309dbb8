"""`drain` and `plan`."""

import json
from argparse import Namespace
from typing import Any

from quiesce.kube.errors import KubeConflict
from quiesce.plugin import changes, pages, view
from quiesce.plugin.cluster import KIND
from quiesce.plugin.document import BLANK, line
from quiesce.plugin.exits import Exit, Failed
from quiesce.plugin.session import Session
from quiesce.plugin.view import DrainView, printable

Json = dict[str, Any]


def drain(session: Session, flags: Namespace) -> Exit:
    body = changes.new_drain(flags, session.namespace)
    if flags.dry_run == "client":
        return _print(session, body, flags.output or "yaml")
    _refuse_rivals(session, body)
    made = _create(session, body, dry_run=flags.dry_run == "server")
    if flags.dry_run == "server" or flags.output:
        return _print(session, made, flags.output or "yaml")
    found = DrainView.read(made)
    session.say(f"drain {found.name} created in namespace {found.namespace}, host {found.host}")
    now = answer(session, found, flags.wait)
    if now is None:
        return Exit.DONE
    session.say(f"follow it: kubectl quiesce status {now.name} -n {now.namespace} --watch")
    return Exit.FAILED if now.is_stalled else Exit.DONE


def answer(session: Session, found: DrainView, seconds: float) -> DrainView | None:
    """Shows what the operator makes of the present spec. None: it is not waited for. Raises
    Failed where there is no answer.
    """
    if seconds <= 0:
        return None
    now = session.wait(found, seconds, lambda v: v.answered and bool(v.status and v.status.phase))
    if now is None:
        raise Failed(f"drain {found.name} was deleted meanwhile")
    if not now.answered:
        raise Failed(
            f"written, but no operator has answered yet. Does one run, and does it watch the "
            f"namespace {found.namespace}? Look again: kubectl quiesce status {found.name} "
            f"-n {found.namespace}"
        )
    session.say(f"{now.phase}: {now.message}")
    return now


def plan(session: Session, flags: Namespace) -> Exit:
    present = [v for v in session.views() if v.host == flags.host]
    if present:
        return _show_plan(session, flags, present[0])
    flags.method = flags.method or changes.PLAN_METHOD
    flags.plan = True
    body = changes.new_drain(flags, session.namespace)
    made = DrainView.read(_create(session, body))
    try:
        code = _show_plan(session, flags, made)
    except BaseException:
        _clean_up(session, made, quiet=True)
        raise
    if flags.keep:
        session.say(
            f"drain {made.name} is kept with mode: Plan. Start it: kubectl patch cnd/{made.name} "
            f'-n {made.namespace} --type=merge -p \'{{"spec": {{"mode": "Drain"}}}}\''
        )
    else:
        _clean_up(session, made, quiet=bool(flags.output))
    return code


def _show_plan(session: Session, flags: Namespace, found: DrainView) -> Exit:
    now = session.wait(found, flags.wait, lambda v: _has_plan(v) or (v.answered and v.is_stalled))
    if now is None:
        raise Failed(f"drain {found.name} was deleted meanwhile")
    if not _has_plan(now):
        raise Failed(f"there is no plan yet. Drain {now.name} is {now.phase}: {now.message}")
    if flags.output:
        session.say(json.dumps(view.to_json(now, session.now)))
        return Exit.DONE
    session.screen.show(pages.plan(now))
    session.screen.show((*pages.problems(now, session.now), BLANK))
    if now.mode != "Plan":
        session.say(f"This is the plan of drain {now.name}, which is {now.phase}: {now.message}")
    return Exit.DONE


def _has_plan(found: DrainView) -> bool:
    return found.status is not None and found.status.plan is not None


def _clean_up(session: Session, made: DrainView, *, quiet: bool) -> None:
    """Only what still plans only: a drain that a person has started meanwhile stays."""
    for _ in range(8):
        found = session.cluster.get(made.namespace, made.name)
        if found is None or (now := DrainView.read(found)).uid != made.uid:
            return
        if now.mode != "Plan":
            session.say(f"drain {made.name} was started meanwhile: it is kept")
            return
        try:
            session.cluster.delete(made.namespace, made.name, now.uid, now.version)
        except KubeConflict:
            continue
        if not quiet:
            session.say(f"(drain {made.name}, made for this plan, is deleted again)")
        return


def _refuse_rivals(session: Session, body: Json) -> None:
    for rival in changes.rivals(session.views(), body):
        raise Failed(
            f"host {rival.host} has a drain already: {rival.name}, {rival.phase}: "
            f"{rival.message}. See: kubectl quiesce status {rival.name} -n {rival.namespace}"
        )


def _create(session: Session, body: Json, *, dry_run: bool = False) -> Json:
    name = body["metadata"]["name"]
    try:
        return session.cluster.create(session.namespace, body, dry_run=dry_run)
    except KubeConflict as error:
        raise Failed(
            f"a {KIND} {name} exists in namespace {session.namespace}, for another host or cloud: "
            "give this one another name (--name)"
        ) from error


def _print(session: Session, body: Json, kind: str) -> Exit:
    shown = printable(body)
    (shown.get("metadata") or {}).pop("managedFields", None)
    if kind == "json":
        session.say(json.dumps(shown, indent=2))
        return Exit.DONE
    import yaml

    text = yaml.safe_dump(shown, sort_keys=False, width=1000)
    session.screen.show(tuple(line(each) for each in text.rstrip().splitlines()))
    return Exit.DONE
