"""The page of `kubectl quiesce` matches the program."""

import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from tests.docs.test_docs import blocks

from quiesce.plugin.arguments import parse
from quiesce.plugin.complete import candidates
from quiesce.plugin.exits import Exit

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "kubectl-plugin.md", ROOT / "README.md")
TEXT = PAGES[0].read_text()
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def shown() -> list[str]:
    """Every command line with the plugin in a block or in backticks, but for patterns of one."""
    texts = [page.read_text() for page in PAGES]
    lines = [line for page in PAGES for block in blocks(page, "sh") for line in block.splitlines()]
    lines += [found for text in texts for found in re.findall(r"`(kubectl quiesce [^`]+)`", text)]
    found = [re.sub(r"^source <\((.*)\)$", r"\1", line.partition("#")[0].strip()) for line in lines]
    return sorted(
        {line for line in found if line.startswith("kubectl quiesce ") and "<" not in line}
    )


@pytest.mark.parametrize("command", shown())
def test_every_command_shown_is_one(command: str) -> None:
    words = shlex.split(command)[2:]
    if "--help" not in words:
        assert parse(words).command == words[0]


def test_every_command_and_exit_code_is_on_the_page() -> None:
    commands = [name for name, _ in candidates([""], lambda _: [])]
    assert [name for name in commands if not re.search(rf"`{name}[ `]", TEXT)] == []
    assert [code for code in Exit if f"| {code.value} |" not in TEXT] == []


@pytest.mark.parametrize("name", ["kubectl-quiesce", "kubectl_complete-quiesce"])
def test_kubectl_finds_programs_that_are_there(name: str) -> None:
    module, _, function = SCRIPTS[name].partition(":")
    assert callable(getattr(import_module(module), function))
