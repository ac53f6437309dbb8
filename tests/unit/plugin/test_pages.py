"""What a person sees, phase by phase."""

from dataclasses import replace

import pytest
from tests.unit.plugin.build import PHASES, WEB_09, WEB_10, now_of, recorded, view

from quiesce.api.explanations import load, meanings
from quiesce.plugin.document import Grid, fitted, height, plain
from quiesce.plugin.pages import all_words, changes, drain, explanation, overview, plan
from quiesce.plugin.view import DrainView

DRAINING = f"""\
cmp2   host cmp2, namespace openstack, method LiveThenCold
Draining (Migrating): moving 2 of 12 servers, 2 moved; 2 blocked: cmp2-web-09 (AwaitingDecision); \
cmp2-web-10 (Suspended)
2/12 servers have left, 2 moving, 6 waiting, 2 blocked

MOVING        METHOD   STATE       TO     ATTEMPT   FOR   WAS
cmp2-web-03   live     Migrating   cmp5   1         59s   ACTIVE
cmp2-web-11   live     Migrating   cmp3   1         59s   ACTIVE

NEEDS A PERSON
cmp2-web-09  AwaitingDecision  for 40s, was SHUTOFF
  moved to cmp3, and its checks pass; confirmation.policy is Manual
  - Add to confirmation.decisions: {{server: {WEB_09}, action: Confirm}}
  - Add to confirmation.decisions: {{server: {WEB_09}, action: Revert}}
  - kubectl quiesce confirm cmp2 {WEB_09} -n openstack
  - kubectl quiesce revert cmp2 {WEB_09} -n openstack
cmp2-web-10  Suspended  for 59s
  suspended; Nova cannot migrate it in this state
  - Set servers.suspended: Resume
  - openstack server resume {WEB_10}
what it means, and what to do: kubectl quiesce explain AwaitingDecision
what it means, and what to do: kubectl quiesce explain Suspended"""


def test_a_drain_shows_moves_and_problems_with_their_ways_out() -> None:
    found = view("draining")
    assert "\n".join(plain(drain(found, now_of(found)))) == DRAINING


def test_a_live_migration_of_minutes_shows_how_far_it_is_and_how_fast() -> None:
    found = view("draining")
    assert found.status is not None
    first, second = found.status.moving
    moving = (replace(first, percent=63, rate=112 * 2**20), replace(second, percent=7))
    shown = replace(found, status=replace(found.status, moving=moving))
    text = "\n".join(plain(drain(shown, now_of(found))))
    assert "Migrating 63%, 112 MiB/s" in text
    assert "Migrating 7% " in text


@pytest.mark.parametrize(
    ("name", "second"),
    [
        ("new", "New: no operator has answered yet"),
        ("pending", "Pending (Starting): found the service; disabling it"),
        (
            "suspended",
            "Suspended: suspended by spec.suspend: nothing is written to OpenStack until it is "
            "false",
        ),
        ("stalled", "Stalled (Suspended): 1 blocked: cmp2-web-10 (Suspended)"),
        ("drained", "Drained: the host is empty and its service disabled"),
        ("restoring", "Restoring: restoring the host as it was found"),
    ],
)
def test_the_second_line_says_how_it_stands(name: str, second: str) -> None:
    found = view(name)
    assert plain(drain(found, now_of(found)))[1] == second


def test_the_reason_that_stalls_a_whole_drain_can_be_looked_up() -> None:
    found = view("not_found")
    assert plain(drain(found, now_of(found)))[-1].endswith("explain HostNotFound")


@pytest.mark.parametrize("size", [(80, 24), (120, 50), (60, 12), (200, 8)])
@pytest.mark.parametrize("name", PHASES)
def test_a_live_page_fits_its_terminal_as_long_as_its_head_does(
    name: str, size: tuple[int, int]
) -> None:
    found = view(name)
    page = drain(found, now_of(found), size)
    assert sum(height(block, size[0]) for block in page) <= size[1]
    assert f"{found.phase}" in plain(page)[1]


def test_many_moves_and_problems_leave_lines_for_each_other() -> None:
    seen = view("draining")
    assert seen.status is not None
    status = seen.status.to_json()
    crowd = view("draining", moving=status["moving"] * 20, problems=status["problems"] * 10)
    texts = plain(drain(crowd, now_of(crowd), (100, 30)))
    assert len(texts) <= 30
    assert "NEEDS A PERSON" in texts
    assert sum(text.startswith("cmp2-web-03") for text in texts) > 2
    assert any("more servers" in text for text in texts)
    assert any("more lines" in text for text in texts)


def test_the_table_has_a_row_a_drain() -> None:
    seen = [view("draining"), view("not_found")]
    head, *rows = plain(overview(seen, now_of(seen[0]), namespaces=True))
    assert head.split() == [
        *("NAMESPACE", "NAME", "HOST", "PHASE", "SERVERS", "MOVING", "BLOCKED", "TO", "GO", "AGE"),
        "MESSAGE",
    ]
    assert [row.split()[:7] for row in rows] == [
        ["openstack", "cmp2", "cmp2", "Draining", "2/12", "2", "2"],
        ["openstack", "nohost", "nohost", "Stalled", "-", "-", "-"],
    ]


def test_a_pipe_gets_whole_messages_in_the_table() -> None:
    seen = view("draining", message="a reason that is longer than most, " * 10 + "the end")
    assert plain(overview([seen], now_of(seen), namespaces=False))[1].endswith("the end")


def test_a_pipe_gets_a_text_for_each_thing_that_can_change() -> None:
    first, *others = changes(view("draining"))
    assert first.startswith("Draining 2/12: moving 2 of 12")
    assert others[0] == "cmp2-web-03 live Migrating to cmp5, attempt 1"
    assert others[-1].startswith("cmp2-web-10 NEEDS A PERSON: Suspended: suspended; Nova cannot")
    assert others[-1].endswith(f"; openstack server resume {WEB_10}")


def test_a_plan_says_what_would_be_done_and_why_not() -> None:
    texts = plain(plan(view("planned")))
    assert texts[0].startswith("Plan for cmp2")
    assert "nothing was changed in OpenStack" in texts[0]
    counts = [text.split()[:2] for text in texts if "   " in text]
    assert ["live-migrate", "10"] in counts
    assert ["cold-migrate", "1"] in counts
    assert ["nothing", "1"] in counts
    assert any(text.startswith("Suspended") and "cmp2-web-10" in text for text in texts)
    assert any(text.startswith("Capacity of the rest of the cloud: Fits") for text in texts)


def test_a_plan_has_a_row_a_server_where_the_operator_lists_them() -> None:
    seen = view("planned")
    assert seen.status is not None
    rows = [
        {"id": WEB_10, "name": "cmp2-web-10", "status": "SUSPENDED", "action": "none"},
        {"id": WEB_09, "name": "cmp2-web-09", "status": "SHUTOFF", "action": "cold"},
    ]
    listed = seen.status.to_json()["plan"] | {"servers": rows, "serversOmitted": 2}
    texts = plain(plan(view("planned", plan=listed)))
    assert [text.split()[:3] for text in texts[-4:-1]] == [
        ["SERVER", "STATUS", "ACTION"],
        ["cmp2-web-10", "SUSPENDED", "none"],
        ["cmp2-web-09", "SHUTOFF", "cold"],
    ]
    assert texts[-1] == "and 2 more servers"


# Narrow screens


def table(host: str, width: int) -> Grid:
    """The overview of one drain whose name is its host's."""
    resource = recorded("draining")
    resource["metadata"]["name"] = resource["spec"]["host"] = host
    seen = DrainView.read(resource)
    (grid,) = overview([seen], now_of(seen), namespaces=False)
    assert isinstance(grid, Grid)
    return fitted(grid, width)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_narrow_screen_loses_columns_and_no_letters_of_those_that_matter(width: int) -> None:
    found = table("compute-07.example.org", width)
    assert {"NAME", "PHASE", "SERVERS", "BLOCKED"} <= set(found.columns)
    assert ("MESSAGE" in found.columns) == (width >= 80)
    assert ("HOST" in found.columns) == (width == 200)
    cells = zip(found.columns, found.rows[0], strict=True)
    widths = [max(len(name), len(cell.text)) + 3 for name, cell in cells if name != "MESSAGE"]
    assert sum(widths) - 3 <= width


def test_a_column_that_fits_is_shown_where_a_wider_one_does_not() -> None:
    assert "AGE" in table("compute-07.example.org", 60).columns
    assert "MOVING" not in table("compute-07.example.org", 60).columns


# Reasons


def test_a_word_is_explained_in_every_place_where_it_is_used() -> None:
    texts = plain(explanation("Suspended", meanings(load(), "suspended")))
    assert [text for text in texts if text.startswith("Suspended: ")] == [
        "Suspended: phase of a drain",
        "Suspended: a server needs a person",
    ]
    assert "  Remedies: resume it, or `servers.suspended: Resume`" in texts


def test_the_list_has_every_word() -> None:
    shown = " ".join(plain(all_words(load())))
    assert all(word in shown for table in load() for row in table.rows for word in row.words)


def test_no_markdown_is_left_in_an_explanation() -> None:
    for table in load():
        for row in table.rows:
            text = "\n".join(plain(explanation(row.words[0], meanings([table], row.words[0]))))
            assert "**" not in text
            assert "](" not in text
