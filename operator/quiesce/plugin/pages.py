"""PURE. Pages: what a person sees of drains, plans and reasons."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from quiesce.api import durations
from quiesce.api.conditions import find
from quiesce.api.drain.reasons import Phase
from quiesce.api.drain.status import MovingRow, PlanStatus, ProblemRow
from quiesce.api.explanations import Meaning, Table
from quiesce.api.text import count
from quiesce.plugin.document import BLANK, Bar, Block, Grid, Line, Page, Span, Style, height, line
from quiesce.plugin.view import HELD, DrainView, moment, seconds_to_go

_PHASES: dict[str, Style] = {
    Phase.DRAINING: "busy",
    Phase.RESTORING: "busy",
    Phase.PLANNED: "good",
    Phase.DRAINED: "good",
    Phase.DELETED: "good",
    Phase.STALLED: "bad",
    "Unreadable": "bad",
}
_COLUMNS = ("NAME", "HOST", "PHASE", "SERVERS", "MOVING", "BLOCKED", "TO GO", "AGE", "MESSAGE")
_WORDS = 3  # reasons for which a page names the command that explains them
_OPTIONAL = ("HOST", "TO GO", "AGE", "MOVING", "MESSAGE")  # status NAME shows all of them
_CODE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\([^)]*\)")

# Drains


def overview(views: Sequence[DrainView], now: datetime, *, namespaces: bool) -> Page:
    """One row a drain. `namespaces`: with a column of them."""
    columns: tuple[str, ...] = _COLUMNS
    rows = tuple(_overview_row(view, now) for view in views)
    if namespaces:
        columns = ("NAMESPACE", *columns)
        rows = tuple((Span(v.namespace), *row) for v, row in zip(views, rows, strict=True))
    return (Grid(columns, rows, optional=_OPTIONAL, brief=True),)


def _overview_row(view: DrainView, now: datetime) -> tuple[Span, ...]:
    progress = view.status.progress if view.status else None
    left = seconds_to_go(view, now)
    blocked = progress.blocked if progress else 0
    return (
        Span(view.name, "bold"),
        Span(view.host),
        Span(view.phase, _PHASES.get(view.phase, "")),
        Span(f"{progress.moved}/{progress.total}" if progress else "-"),
        Span(str(progress.moving) if progress else "-"),
        Span(str(blocked) if progress else "-", "bad" if blocked else ""),
        Span("-" if left is None else f"~{_rough(left)}"),
        Span(_since(view.created, now)),
        Span(view.message),
    )


def drain(view: DrainView, now: datetime, size: tuple[int, int] | None = None) -> Page:
    """One drain in full. `size`: columns and lines that there are; what does not fit is counted.
    None: as many as it takes.
    """
    head, waiting = [*_head(view), *_progress(view, now)], list(problems(view, now))
    waiting += _more(view)
    if size is None:
        return (*head, *_moving(view, now), *waiting)
    width, lines = size
    room = lines - sum(height(block, width) for block in head)
    rows = len(view.status.moving) if view.status else 0
    for_moving = min(rows + 2, max(3, room // 2)) if rows else 0
    kept = _cut(waiting, room - for_moving, width)
    left = room - sum(height(block, width) for block in kept)
    return (*head, *_moving(view, now, None if rows + 2 <= left else max(0, left - 3)), *kept)


def _head(view: DrainView) -> Iterator[Block]:
    facts = [f"host {view.host}", f"namespace {view.namespace}", f"method {view.method}"]
    if view.mode != "Drain":
        facts.append(f"mode {view.mode}")
    yield line(Span(view.name, "bold"), Span(f"   {', '.join(facts)}", "dim"))
    ready = view.ready
    reason = f" ({ready.reason})" if ready and ready.reason not in ("", view.phase) else ""
    yield line(Span(view.phase, _PHASES.get(view.phase, "bold")), f"{reason}: {view.message}")
    status = view.status
    if status is not None and status.phase and not view.answered and not view.deleting:
        yield line(Span("the operator has not answered to the latest change yet", "dim"))


def _progress(view: DrainView, now: datetime) -> Iterator[Block]:
    progress = view.status.progress if view.status else None
    if progress is None or view.status is None:
        return
    counts = [f"{progress.moved}/{progress.total} servers have left"]
    for number, what in (
        (progress.moving, "moving"),
        (progress.waiting, "waiting"),
        (progress.blocked, "blocked"),
    ):
        counts += [f"{number} {what}"] if number else []
    parts: tuple[tuple[int, Style], ...] = (
        (progress.moved, "good"),
        (progress.moving, "busy"),
        (progress.blocked, "bad"),
    )
    yield Bar(parts, progress.total, ", ".join(counts))
    left, began = seconds_to_go(view, now), moment(view.status.record.started)
    if left is not None and began is not None:
        past = f"{progress.moved} in {_rough((now - began).total_seconds())}"
        yield line(Span(f"about {_rough(left)} to go at the pace so far ({past})", "dim"))


def _moving(view: DrainView, now: datetime, most: int | None = None) -> Iterator[Block]:
    moving = view.status.moving if view.status else ()
    if not moving:
        return
    yield BLANK
    rows = tuple(
        (
            Span(row.name),
            Span(row.method or "-"),
            Span(_state(row), "busy"),
            Span(row.destination or "-"),
            Span(str(row.attempt), "bad" if row.attempt > 1 else ""),
            Span(_since(moment(row.since), now)),
            Span(row.was or "-"),
        )
        for row in moving[:most]
    )
    columns = ("MOVING", "METHOD", "STATE", "TO", "ATTEMPT", "FOR", "WAS")
    yield Grid(columns, rows, optional=("WAS", "FOR", "ATTEMPT", "METHOD", "TO"))
    if most is not None and len(moving) > most:
        yield line(Span(f"and {count(len(moving) - most, 'more server')}", "dim"))


def _state(row: MovingRow) -> str:
    """With how far its copy is, of a live migration that runs for minutes."""
    if row.percent is None:
        return row.state
    rate = "" if row.rate is None else f", {row.rate / 2**20:.0f} MiB/s"
    return f"{row.state} {row.percent}%{rate}"


def problems(view: DrainView, now: datetime) -> Iterator[Block]:
    """The servers that need a person, each with what can be done."""
    if not view.problems:
        return
    yield BLANK
    yield line(Span("NEEDS A PERSON", "bold"))
    for row in view.problems:
        yield from _problem(view, row, now)
    omitted = view.status.problems_omitted if view.status else 0
    if omitted:
        yield line(Span(f"and {count(omitted, 'more server')}, not listed by the operator", "dim"))


def _problem(view: DrainView, row: ProblemRow, now: datetime) -> Iterator[Block]:
    facts = [f"for {_since(moment(row.since), now)}"]
    facts += [count(row.attempts, "failed attempt")] if row.attempts else []
    facts += [f"was {row.was}"] if row.was else []
    yield line(Span(row.name, "bold"), "  ", Span(row.reason, "bad"), f"  {', '.join(facts)}")
    yield line(row.message, indent=2)
    for remedy in row.remedies:
        yield line(f"- {remedy}", indent=2)
    if row.reason in HELD:
        words = f"{view.name} {row.id} -n {view.namespace}"
        yield line(f"- kubectl quiesce confirm {words}", indent=2)
        yield line(f"- kubectl quiesce revert {words}", indent=2)


def _more(view: DrainView) -> Iterator[Block]:
    words = list(dict.fromkeys(row.reason for row in view.problems))
    if not words and view.is_stalled and view.ready is not None:
        words = [view.ready.reason]
    for word in words[:_WORDS]:
        yield line(Span(f"what it means, and what to do: kubectl quiesce explain {word}", "dim"))


def _cut(blocks: list[Block], most: int, width: int) -> list[Block]:
    """The first of them, in at most so many lines."""
    heights = [height(block, width) for block in blocks]
    if sum(heights) <= most:
        return blocks
    kept = 0
    while sum(heights[: kept + 1]) < most:
        kept += 1
    more = sum(heights[kept:])
    return [*blocks[:kept], line(Span(f"and {more} more lines, without --watch", "dim"))]


def changes(view: DrainView) -> tuple[str, ...]:
    """The same for a pipe: a text each for what it is, for every move and every problem. What has
    changed is what was not there before.
    """
    status = view.status
    moving, problems = (status.moving, status.problems) if status else ((), ())
    progress = status.progress if status else None
    counts = f" {progress.moved}/{progress.total}" if progress else ""
    texts = [f"{view.phase}{counts}: {view.message}"]
    for row in moving:
        to = f" to {row.destination}" if row.destination else ""
        texts.append(f"{row.name} {row.method or ''} {row.state}{to}, attempt {row.attempt}")
    for each in problems:
        remedies = "".join(f"; {remedy}" for remedy in each.remedies)
        texts.append(f"{each.name} NEEDS A PERSON: {each.reason}: {each.message}{remedies}")
    return tuple(texts)


# Plans


def plan(view: DrainView) -> Page:
    """What the drain would do, and why not with some servers. It has a plan."""
    assert view.status is not None and view.status.plan is not None  # noqa: S101, PT018
    found = view.status.plan
    began = view.status.record.begun
    when = "when the drain began" if began else "now; nothing was changed in OpenStack"
    head = line(
        Span(f"Plan for {view.host}", "bold"), Span(f"   method {view.method}, {when}", "dim")
    )
    rows = _servers(found) if found.servers else _why(found)
    return (head, BLANK, _plan_counts(found), BLANK, *_weighed(view, found), *rows)


def _plan_counts(found: PlanStatus) -> Grid:
    rows: tuple[tuple[str, int, str], ...] = (
        ("live-migrate", found.live, "guests keep running"),
        ("cold-migrate", found.cold, "running guests are restarted on another host"),
        ("shelve-offload", found.offload, "shelved servers; no guest runs"),
        ("nothing", found.blocked, "they stay until a person acts: see below"),
    )
    spans = tuple(
        (Span(what), Span(str(number), "bad" if what == "nothing" and number else ""), Span(text))
        for what, number, text in rows
    )
    return Grid(("WOULD DO", "SERVERS", ""), spans)


def _weighed(view: DrainView, found: PlanStatus) -> Iterator[Block]:
    style: Style = "good" if found.capacity == "Fits" else "bad"
    condition = find(view.status.conditions, "CapacityAvailable") if view.status else None
    text = f": {condition.message}" if condition and condition.message else ""
    yield line("Capacity of the rest of the cloud: ", Span(found.capacity, style), text)
    if found.estimated_seconds is not None:
        took = _rough(found.estimated_seconds)
        yield line(f"Moves take about {took}, if they take as long as earlier ones of this host")


def _why(found: PlanStatus) -> Iterator[Block]:
    if not found.reasons:
        return
    yield BLANK
    rows = tuple(
        (Span(reason, "bad"), Span(str(number)), Span(message))
        for reason, number, message in found.reasons
    )
    yield Grid(("STAYS BECAUSE", "SERVERS", "WHICH, AND WHY"), rows)


def _servers(found: PlanStatus) -> Iterator[Block]:
    yield BLANK
    styles: dict[str, Style] = {"none": "bad", "cold": "busy", "live": "good"}
    rows = tuple(
        (
            Span(row.name, "bold"),
            Span(row.status),
            Span(row.action, styles.get(row.action, "")),
            Span(row.message),
        )
        for row in found.servers
    )
    yield Grid(("SERVER", "STATUS", "ACTION", "WHY"), rows)
    if found.servers_omitted:
        yield line(Span(f"and {count(found.servers_omitted, 'more server')}", "dim"))


# Reasons


def all_words(tables: Iterable[Table]) -> Page:
    """Every word that can be explained, by what it says."""
    blocks: list[Block] = []
    for table in tables:
        words = sorted(word for row in table.rows for word in row.words)
        blocks += [line(Span(table.says, "bold")), line(", ".join(words), indent=2)]
    return (*blocks, BLANK, line("kubectl quiesce explain WORD says what to do."))


def explanation(word: str, found: Iterable[Meaning]) -> Page:
    """What a word means in each place where it is used."""
    blocks: list[Block] = []
    for meaning in found:
        blocks += [line(Span(word, "bold"), f": {meaning.table.says}")]
        if meaning.row.meaning:
            blocks += [_from_markdown(meaning.row.meaning)]
        if meaning.row.action:
            head = meaning.table.columns[-1].capitalize()
            colon = "" if head.endswith("?") else ":"
            blocks += [_from_markdown(f"**{head}{colon}** {meaning.row.action}")]
        blocks += [line(Span(f"{meaning.table.page}", "dim"), indent=2), BLANK]
    return tuple(blocks[:-1])


def _from_markdown(text: str) -> Line:
    """One line of it: `code`, **bold**, and of a link its text."""
    spans, end = [], 0
    for found in _CODE.finditer(text):
        spans.append(Span(text[end : found.start()]))
        code, strong, link = found.groups()
        spans.append(Span(code, "code") if code else Span(strong or link, "bold" if strong else ""))
        end = found.end()
    return Line((*spans, Span(text[end:])), indent=2)


# Times


def _since(then: datetime | None, now: datetime) -> str:
    if then is None:
        return "-"
    return _rough(max(0.0, (now - then).total_seconds()))


def _rough(seconds: float) -> str:
    """Its two greatest units: 3725 -> `1h2m`; days from two of them on."""
    if seconds >= 2 * 86400:
        return f"{seconds // 86400:.0f}d"
    step = 60 if seconds >= 600 else 1
    return durations.text(step * (seconds // step))
