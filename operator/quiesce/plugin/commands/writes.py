"""`confirm`, `revert`, `retry`, `suspend`, `resume` and `restore`."""

from argparse import Namespace

from quiesce.api.annotations import REQUESTED_AT, request
from quiesce.api.text import count
from quiesce.kube.errors import KubeConflict
from quiesce.plugin import changes
from quiesce.plugin.commands.drain import answer
from quiesce.plugin.exits import Exit, Failed
from quiesce.plugin.session import Session
from quiesce.plugin.view import DrainView


def confirm(session: Session, flags: Namespace) -> Exit:
    found = session.find(flags.name)
    servers = changes.chosen(found, flags.servers, flags.all)
    doubts = changes.doubtful(found, servers)
    for doubt in doubts:
        session.say(doubt)
    if doubts:
        text = f"Confirm {count(len(servers), 'server')}, although a check fails? The copy on "
        session.ask(f"{text}{found.host} is deleted.", yes=flags.yes)
    return _decide(session, flags, found, servers, "Confirm")


def revert(session: Session, flags: Namespace) -> Exit:
    found = session.find(flags.name)
    servers = changes.chosen(found, flags.servers, flags.all)
    text = f"Return {count(len(servers), 'server')} to {found.host}? They are restarted there, and "
    session.ask(f"{text}what they wrote since their move is lost.", yes=flags.yes)
    return _decide(session, flags, found, servers, "Revert")


def _decide(
    session: Session, flags: Namespace, found: DrainView, servers: tuple[str, ...], action: str
) -> Exit:
    written = session.write(found, lambda v: changes.decisions(v, servers, action))
    names = {row.id: row.name for row in found.held}
    for server in servers:
        note = "" if server in names else "; it is not listed as held, so this has no effect yet"
        session.say(f"{names.get(server, server)}: {action} added to confirmation.decisions{note}")
    omitted = found.status.problems_omitted if found.status else 0
    if flags.all and omitted:
        text = "more servers have problems that are not listed: repeat this when these are done"
        session.say(f"{omitted} {text}")
    answer(session, written, flags.wait)
    return Exit.DONE


def retry(session: Session, flags: Namespace) -> Exit:
    found = session.find(flags.name)
    servers = [changes.server_id(found, word) for word in flags.servers]
    now = session.now
    written = session.write(found, lambda v: changes.new_tries(v, servers, now))
    asked = request({REQUESTED_AT: written.requested_at or ""}, REQUESTED_AT)
    session.say(f"a new set of tries is requested for every server of drain {found.name}")
    if flags.wait <= 0:
        return Exit.DONE
    taken = session.wait(written, flags.wait, lambda v: _handled(v) == asked)
    if taken is None or _handled(taken) != asked:
        raise Failed(
            f"written, but the operator has not taken it up yet: {found.name} {_now(taken)}"
        )
    answer(session, taken, flags.wait)
    return Exit.DONE


def _handled(view: DrainView) -> str | None:
    return view.status.record.handled_request if view.status else None


def _now(view: DrainView | None) -> str:
    return "is gone" if view is None else f"is {view.phase}: {view.message}"


def suspend(session: Session, flags: Namespace) -> Exit:
    return _suspend(session, flags, True)


def resume(session: Session, flags: Namespace) -> Exit:
    return _suspend(session, flags, False)


def _suspend(session: Session, flags: Namespace, value: bool) -> Exit:
    found = session.find(flags.name)
    if found.suspended is value:
        state = "suspended already" if value else "not suspended"
        session.say(f"drain {found.name} is {state}")
    written = session.write(found, lambda _: changes.suspension(value))
    session.say(f"spec.suspend of drain {found.name} is {str(value).lower()}")
    answer(session, written, flags.wait)
    return Exit.DONE


def restore(session: Session, flags: Namespace) -> Exit:
    found = session.find(flags.name)
    session.say(_what_restore_does(found))
    if not found.deleting:
        session.ask(f"Delete drain {found.name}?", yes=flags.yes)
        try:
            session.cluster.delete(found.namespace, found.name, found.uid)
        except KubeConflict as error:
            raise Failed(
                f"drain {found.name} was deleted meanwhile, and another created"
            ) from error
    if flags.wait <= 0:
        return Exit.DONE
    said: list[str] = []
    seen = [found]

    def each(view: DrainView) -> None:
        seen.append(view)
        text = f"{view.phase}: {view.message}"
        if view.deleting and text not in said:
            said.append(text)
            session.say(text)

    last = session.wait(found, flags.wait, lambda _: False, each)
    if last is not None:
        raise Failed(
            f"drain {last.name} is deleted as soon as the host is restored, and goes on without "
            f"this command. {last.phase}: {last.message}"
        )
    session.say(f"drain {found.name} is gone: {seen[-1].left}")
    return Exit.DONE


def _what_restore_does(view: DrainView) -> str:
    if not view.begun or view.status is None:
        return f"{view.host} was not changed by this drain, and will not be by its deletion"
    record = view.status.record
    moving = view.status.progress.moving if view.status.progress else 0
    first = f"{count(moving, 'move')} in flight will end first; then " if moving else ""
    if view.on_delete == "Leave":
        return f"{first}{view.host} is left as it is now (spec.onDelete: Leave)"
    starts = bool(record.found_unit and record.found_unit.startswith("running"))
    if view.status.service and view.status.service.status == "deleted" and not starts:
        return (
            f"{first}the service of {view.host} stays deleted: nova-compute registers it again, "
            "enabled, when it starts. Servers that were moved stay where they are"
        )
    found = f"nova-compute {record.found_status}"
    if record.found_reason:
        found += f" ({record.found_reason})"
    if starts:
        found += ", started again"
    if record.found_aggregates:
        found += f", in {count(len(record.found_aggregates), 'aggregate')}"
    return (
        f"{first}{view.host} will be put back as it was found: {found}. Servers that were moved "
        "stay where they are"
    )
