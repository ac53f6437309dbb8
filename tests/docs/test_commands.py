"""Every command that is shown is run by a test, or is in a short list of those that are not."""

import ast
import importlib.util
import re
import subprocess
import sys

import pytest
import yaml
from tests.docs.commands import (
    DEMO,
    NOT_RUN,
    ROOT,
    RUN_BY,
    Shown,
    named,
    of_procedures,
    run_by_kubectl,
    shown,
)
from tests.docs.openstack_commands import by_the_documentation, by_the_operator
from tests.nightly import test_openstack_commands as client
from tests.runner.tiers import CACHE, DAY, NIGHT

ALL = shown()
MOST_THAT_ARE_NOT_RUN = 5


def test_commands_are_found() -> None:
    assert len(ALL) > 80
    loops = [each for each in ALL if each.command.startswith("for role in")]
    assert [each.command.endswith("done") for each in loops] == [True]
    assert not [each for each in ALL if each.command.startswith("#")]


@pytest.mark.parametrize("each", ALL, ids=str)
def test_every_command_has_a_test_or_a_reason(each: Shown) -> None:
    is_demo = each.page == DEMO and each.output
    assert (
        is_demo
        or of_procedures(each)
        or each in run_by_kubectl()
        or named(each, RUN_BY)
        or named(each, NOT_RUN)
    ), "say in tests/docs/commands.py which test runs it"


def test_no_entry_is_stale() -> None:
    for table in (RUN_BY, NOT_RUN):
        assert set(table) - {named(each, table) for each in ALL} == set()
    assert len(NOT_RUN) <= MOST_THAT_ARE_NOT_RUN


@pytest.mark.parametrize("test", sorted(set(RUN_BY.values())))
def test_every_test_that_is_named_exists(test: str) -> None:
    file, _, name = test.partition("::")
    defined = [
        node.name
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    assert name in defined


def test_each_command_of_openstacks_client_has_a_scene_on_a_real_cloud() -> None:
    """Also those that the operator's own texts tell people to run."""
    told = by_the_operator() | by_the_documentation()
    assert told - client.SCENES.keys() - client.NAMES == client.NOT_RUN.keys()
    assert client.SCENES.keys() | client.NAMES <= told


def of_kind(pattern: str) -> list[str]:
    """Commands whose test is one of this file."""
    found = {each.command for each in ALL if re.fullmatch(pattern, each.command)}
    assert found
    return sorted(found)


@pytest.mark.parametrize("command", of_kind(r'make .*|eval "\$\(make .*'))
def test_a_target_that_is_named_is_there(command: str) -> None:
    """It is known to make, with all that it needs; nothing is run."""
    make = command.removeprefix('eval "$(').removesuffix(')"').replace("make ", "make -n ", 1)
    done = subprocess.run(["bash", "-c", make], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", of_kind(r"(PYTHONPATH=operator )?python -m .*"))
def test_a_module_that_is_named_is_a_program(command: str) -> None:
    _, _, module, *rest = command.removeprefix("PYTHONPATH=operator ").split()
    spec = importlib.util.find_spec(module)
    assert spec is not None
    if spec.submodule_search_locations is not None:
        assert importlib.util.find_spec(f"{module}.__main__") is not None
    if module == "tests.runner":
        assert set(rest) <= {tier.name for lane in (*DAY, *NIGHT) for tier in lane}


@pytest.mark.parametrize("command", of_kind(r"PYTHONPATH=operator \S+/bin/pytest .*"))
def test_a_test_that_is_named_is_found(command: str) -> None:
    here = command.replace("~/.cache", str(CACHE.parent)) + " --collect-only --quiet"
    here = re.sub(r"\S+/venv/\*/bin/pytest", f"{sys.executable} -m pytest", here)
    done = subprocess.run(["bash", "-c", here], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_shown_output_is_compared() -> None:
    """That of DEMO by tests/demo/test_demo.py, a table of columns by the next test."""
    outside = [each for each in ALL if each.output and not of_procedures(each)]
    assert {each.page for each in outside} <= {DEMO, "docs/keyring.md"}
    assert [each.command for each in outside if each.page != DEMO] == [
        "kubectl -n openstack get mkr"
    ]


@pytest.mark.parametrize(
    ("page", "command", "kind"),
    [
        ("docs/keyring.md", r"\$ kubectl -n openstack get mkr\n(.+)", "migrationkeyrings"),
        ("README.md", r"^kubectl -n openstack get cnd +# (.+)", "computenodedrains"),
    ],
)
def test_a_table_is_shown_with_the_columns_of_its_crd(page: str, command: str, kind: str) -> None:
    crd = yaml.safe_load((ROOT / "crds" / f"quiesce.dev_{kind}.yaml").read_text())
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = re.findall(command, (ROOT / page).read_text(), re.MULTILINE)
    names = [each["name"].upper() for each in columns if not each.get("priority")]
    assert [line.split() for line in shown] in ([names], [["NAME", *names]])
