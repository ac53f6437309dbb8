"""Each alert of manifests/monitoring fires when it should, and is silent when it should be.

promtool evaluates the rules on series that are written here: one value a minute, from 1970 on, so
that a moment is its number of seconds.
"""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from tests.harness.kubernetes import ROOT
from tests.monitoring.prometheus import Json, promtool, rules

D = 'namespace="openstack",name="compute-07"'
INFO = 'quiesce_drain_info{%s,host="compute-07",phase="%s",reason="%s"}'
DAY = "400"


def drain(
    phase: str,
    reason: str,
    *,
    whose: str = D,
    stalled: str = f"0x{DAY}",
    off: str = f"0x{DAY}",
    progress: str = f"0+60x{DAY}",
    read: str = f"0+60x{DAY}",
    timeout: int = 3600,
    more: str = "",
) -> dict[str, str]:
    """The series of one drain. By default nothing is wrong, all day long."""
    labels = whose + more
    return {
        INFO % (labels, phase, reason): f"1x{DAY}",
        f"quiesce_drain_stalled{{{labels}}}": stalled,
        f"quiesce_drain_guests_off{{{labels}}}": off,
        f"quiesce_drain_last_progress_timestamp_seconds{{{labels}}}": progress,
        f"quiesce_drain_last_read_timestamp_seconds{{{labels}}}": read,
        f"quiesce_drain_migration_timeout_seconds{{{labels}}}": f"{timeout}x{DAY}",
    }


LEADER = 'quiesce_leader{namespace="quiesce-system",job="quiesce",lease="%s",pod="%s"}'
A, B = LEADER % ("quiesce-system/q-1", "a"), LEADER % ("quiesce-system/q-1", "b")
C, D2 = LEADER % ("quiesce-system/q-2", "c"), LEADER % ("quiesce-system/q-2", "d")
OPERATOR = {
    A: f"1x{DAY}",
    B: f"0x{DAY}",
    'quiesce_ticks_total{kind="drain",outcome="ok",pod="a"}': f"0+4x{DAY}",
    'quiesce_ticks_total{kind="drain",outcome="bug",pod="a"}': f"0x{DAY}",
    'quiesce_queue_depth{kind="drain",pod="a"}': f"0 1 0 0 2 0x{DAY}",
}
HELD = f"quiesce_drain_verify_resize_since_timestamp_seconds{{{D}}}"
NEVER_FURTHER = f"0x{DAY}"


@dataclass(frozen=True)
class Case:
    """`fires`: names of the alerts that fire at that minute, and no other."""

    what: str
    minute: int
    series: Mapping[str, str]
    fires: tuple[str, ...] = ()
    operator: Mapping[str, str] = field(default_factory=lambda: OPERATOR)


def restart(before: dict[str, str], minute: int = 59) -> dict[str, str]:
    """The operator's pod is another one after that minute: two minutes without any series."""
    gap = {}
    for series, values in before.items():
        start = values.split("x")[0]
        first, _, step = start.partition("+")
        later = f"{float(first) + (minute + 3) * float(step or 0):g}" + (f"+{step}" if step else "")
        gap[series.replace("}", ',pod="a"}')] = f"{start}x{minute} stale"
        gap[series.replace("}", ',pod="b"}')] = f"_x{minute + 2} {later}x{DAY}"
    return gap


MANUAL = drain("Stalled", "AwaitingDecision", stalled=f"1x{DAY}", progress=NEVER_FURTHER)
CASES = (
    # Nothing is wrong
    Case("a drained host at rest", 300, drain("Drained", "Drained", progress=NEVER_FURTHER)),
    Case("a deleted service", 300, drain("Deleted", "Deleted", progress=NEVER_FURTHER)),
    Case("a drain at work", 300, drain("Draining", "Migrating")),
    Case("suspended", 300, drain("Suspended", "Suspended", progress=NEVER_FURTHER)),
    Case("a plan", 300, drain("Planned", "Planned", progress=NEVER_FURTHER)),
    Case(
        "waits for a person to stop nova-compute",
        300,
        drain("Drained", "NovaComputeRunning", progress=NEVER_FURTHER),
    ),
    Case("waits for a decision", 180, MANUAL | {HELD: "0x1000"}),
    Case("no drain at all", 300, {}),
    Case("restart", 62, restart(drain("Draining", "Migrating"))),
    Case("after a restart", 70, restart(drain("Draining", "Migrating"))),
    # Guests left off
    Case("a guest off", 5, drain("Draining", "Migrating", off="1x10"), ("QuiesceGuestLeftOff",)),
    Case("off for a minute only", 4, drain("Draining", "Migrating", off="1 0x10")),
    Case("started by a person", 20, drain("Draining", "Migrating", off="1x10 0x20")),
    Case(
        "a guest off through a restart",
        61,
        restart(drain("Draining", "Migrating", off=f"1x{DAY}")),
        ("QuiesceGuestLeftOff",),
    ),
    # Stalled
    Case("stalled", 11, drain("Stalled", "NoCapacity", stalled="1x30"), ("QuiesceDrainStalled",)),
    Case("stalled for nine minutes", 9, drain("Stalled", "NoCapacity", stalled="1x30")),
    Case("repaired", 20, drain("Draining", "Migrating", stalled="1x15 0x20")),
    Case(
        "stalled through a restart",
        61,
        restart(drain("Stalled", "NoCapacity", stalled=f"1x{DAY}")),
        ("QuiesceDrainStalled",),
    ),
    Case(
        "stalled in deletion",
        11,
        drain("Restoring", "BadCredentials", stalled="1x30"),
        ("QuiesceDrainStalled",),
    ),
    # VERIFY_RESIZE
    Case(
        "a decision that nobody makes",
        250,
        MANUAL | {HELD: "0x1000"},
        ("QuiesceVerifyResizeHeld",),
    ),
    Case(
        "a decision that nobody makes, through a restart",
        301,
        restart(MANUAL, 299) | restart({HELD: "0x1000"}, 299),
        ("QuiesceVerifyResizeHeld",),
    ),
    Case("confirmed at last", 260, MANUAL | {HELD: "0x245 stale"}),
    Case("one after the other", 300, drain("Draining", "Migrating") | {HELD: "0+60x1000"}),
    # No progress
    Case(
        "nothing moves",
        135,
        drain("Draining", "Migrating", progress=NEVER_FURTHER),
        ("QuiesceDrainNoProgress",),
    ),
    Case("one long move", 115, drain("Draining", "Migrating", progress=NEVER_FURTHER)),
    Case(
        "moves may take a day",
        300,
        drain("Draining", "Migrating", progress=NEVER_FURTHER, timeout=86400),
    ),
    Case(
        "a host is not restored",
        135,
        drain("Restoring", "Restoring", progress=NEVER_FURTHER),
        ("QuiesceDrainNoProgress",),
    ),
    # The cloud
    Case(
        "no answer", 16, drain("Draining", "Migrating", read="0x99"), ("QuiesceCloudUnreachable",)
    ),
    Case("no answer for eight minutes", 12, drain("Draining", "Migrating", read="0x8 540+60x9")),
    Case(
        "credentials are wrong: stalled, and no more",
        40,
        drain("Stalled", "BadCredentials", stalled="1x99", read="0x99"),
        ("QuiesceDrainStalled",),
    ),
    # The operator
    Case(
        "nobody leads",
        6,
        {},
        ("QuiesceNobodyLeads",),
        {A: "0x10", B: "0x10"},
    ),
    Case(
        "one operator leads, and of the other only one that stands by is left",
        20,
        {},
        ("QuiesceNobodyLeads",),
        OPERATOR | {C: "1x10 stale", D2: "0x30"},
    ),
    Case(
        "one operator leads, and the other is gone",
        120,
        {},
        ("QuiesceNobodyLeads",),
        OPERATOR | {C: "1x10 stale", D2: "0x10 stale"},
    ),
    Case("removed in the morning", 375, {}, (), OPERATOR | {C: "1x10 stale", D2: "0x10 stale"}),
    Case("both operators lead", 20, {}, (), OPERATOR | {C: "0x30", D2: "1x30"}),
    Case("the only operator is gone", 20, {}, ("QuiesceNobodyLeads",), {A: "1x10 stale"}),
    Case("it is gone for a day", 400, {}, ("QuiesceNobodyLeads",), {A: "1x10 stale"}),
    Case(
        "the operator of another cluster or namespace has a lease of the same name",
        20,
        {},
        ("QuiesceNobodyLeads",),
        OPERATOR | {C.replace("q-2", "q-1").replace("quiesce-system", "other", 1): "0x30"},
    ),
    Case("nobody is there", 6, {}, ("QuiesceNobodyLeads",), {"up": "0x10"}),
    Case(
        "another one leads after a minute",
        30,
        {},
        (),
        {A: "1x10 0x30", B: "0x11 1x30"},
    ),
    Case(
        "a bug",
        7,
        {},
        ("QuiesceReconcileBugs",),
        OPERATOR | {'quiesce_ticks_total{kind="drain",outcome="bug",pod="a"}': "0x5 1x30"},
    ),
    Case(
        "a bug an hour ago",
        70,
        {},
        (),
        OPERATOR | {'quiesce_ticks_total{kind="drain",outcome="bug",pod="a"}': "0x5 1x90"},
    ),
    Case(
        "the API server failed",
        7,
        {},
        (),
        OPERATOR | {'quiesce_ticks_total{kind="drain",outcome="retry",pod="a"}': "0+9x30"},
    ),
    Case(
        "too few workers",
        20,
        {},
        ("QuiesceQueueBacklog",),
        OPERATOR | {'quiesce_queue_depth{kind="drain",pod="a"}': "3 4 1 7 2 5x30"},
    ),
)


def run(folder: Path, *tests: Json) -> tuple[int, str]:
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
    whole = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": list(tests)}
    (folder / "test.yaml").write_text(yaml.safe_dump(whole))
    return promtool("test", "rules", str(folder / "test.yaml"))


def series(of: Mapping[str, str]) -> list[Json]:
    return [{"series": name, "values": values} for name, values in of.items()]


def as_test(case: Case) -> Json:
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in case.fires]
    look = {"expr": firing, "eval_time": f"{case.minute}m", "exp_samples": expected}
    return {
        "interval": "1m",
        "input_series": series({**case.series, **case.operator}),
        "promql_expr_test": [look],
    }


def test_the_page_tells_how_to_get_them_without_the_operator(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    (cut,) = re.findall(r"^sed .*$", page, re.MULTILINE)
    out = tmp_path / "quiesce.rules.yaml"
    subprocess.run(["bash", "-c", cut.replace(out.name, str(out))], cwd=ROOT, check=True)
    assert yaml.safe_load(out.read_text()) == rules()
    assert promtool("check", "rules", str(out))[0] == 0


def test_the_rules_are_well_formed(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules()))
    code, said = promtool("check", "rules", "--lint=all", str(tmp_path / "rules.yaml"))
    assert code == 0, said


def test_they_fire_when_they_should_and_not_else(tmp_path: Path) -> None:
    """All cases at once, because promtool takes longer to start than to evaluate them."""
    if run(tmp_path, *map(as_test, CASES))[0] == 0:
        return
    each = {case.what: run(tmp_path, as_test(case)) for case in CASES}
    assert {what: said for what, (code, said) in each.items() if code} == {}


def test_each_alert_has_a_case_in_which_it_fires() -> None:
    names = {rule["alert"] for group in rules()["groups"] for rule in group["rules"]}
    assert names == {name for case in CASES for name in case.fires}


def test_two_drains_of_one_namespace_are_one_alert_on_their_cloud(tmp_path: Path) -> None:
    other = 'namespace="openstack",name="compute-08"'
    both = drain("Draining", "Migrating", read="0x99")
    both |= drain("Draining", "Migrating", whose=other, read="0x99")
    value = 'ALERTS{alertname="QuiesceCloudUnreachable",alertstate="firing"}'
    labels = '{namespace="openstack",severity="warning"}'
    sample = {"labels": value.replace("}", "," + labels[1:]), "value": 1}
    test = {
        "interval": "1m",
        "input_series": series(both | OPERATOR),
        "promql_expr_test": [{"expr": value, "eval_time": "20m", "exp_samples": [sample]}],
    }
    code, said = run(tmp_path, test)
    assert code == 0, said


def test_an_alert_says_which_drain_why_and_where_to_read_on(tmp_path: Path) -> None:
    """As a person is shown it."""
    test = {
        "interval": "1m",
        "input_series": series(drain("Stalled", "NoCapacity", stalled="1x30") | OPERATOR),
        "alert_rule_test": [
            {
                "alertname": "QuiesceDrainStalled",
                "eval_time": "15m",
                "exp_alerts": [
                    {
                        "exp_labels": {
                            "severity": "warning",
                            "namespace": "openstack",
                            "name": "compute-07",
                        },
                        "exp_annotations": {
                            "summary": "Drain openstack/compute-07 is stalled",
                            "description": "Only a person can help drain openstack/compute-07 of "
                            "host compute-07 (NoCapacity): kubectl -n openstack describe cnd "
                            "compute-07 says why and what to do.",
                            "runbook_url": "docs/runbooks.md#quiescedrainstalled",
                        },
                    }
                ],
            }
        ],
    }
    code, said = run(tmp_path, test)
    assert code == 0, said
