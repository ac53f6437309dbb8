"""Every command of OpenStack's client that the operator or the documentation tells people to run.

What a person fills in is a blank, `_`.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.docs.commands import ROOT, pages, shown

BLANK = "_"
_WORD = (
    r"[a-z]+-compute|[a-z]+|--[a-z-]+(?:=\S+)?|\d+\.\d+|[A-Z][A-Z_]*|\{\w*\}|[0-9a-f]{8}[0-9a-f-]*"
)
_COMMAND = re.compile(rf"\bopenstack(?: (?:{_WORD}))+")
_FILLED_IN = re.compile(r" ([A-Z][A-Z_]*|\{\w*\}|[0-9a-f]{8}[0-9a-f-]*)(?= |$)")
_CONSOLE = re.compile(r"^ *```console.*?^ *```", re.MULTILINE | re.DOTALL)
"""What other programs print: it shows the operator's own words again."""
_SPAN = re.compile(r"(?<!`)`(openstack [^`]+)`(?!`)")


def blanked(command: str) -> str:
    return _FILLED_IN.sub(f" {BLANK}", command)


@cache
def by_the_operator() -> frozenset[str]:
    """In its texts: remedies, messages, help."""
    return frozenset(
        blanked(found[0])
        for path in sorted((ROOT / "operator" / "quiesce").rglob("*.py"))
        for text in _texts(ast.parse(path.read_text()))
        for found in _COMMAND.finditer(text)
    )


def _texts(tree: ast.AST) -> Iterator[str]:
    parts: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(each) for each in node.values}
            yield "".join(
                str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in parts:
            yield str(node.value)


@cache
def by_the_documentation() -> frozenset[str]:
    """In running text, and in blocks that no other test runs."""
    inline = (
        " ".join(found[1].split())
        for page in pages()
        for found in _SPAN.finditer(_CONSOLE.sub("", page.read_text()))
    )
    blocks = (
        each.command
        for each in shown()
        if each.command.startswith("openstack ") and not each.page.endswith("credentials.md")
    )
    return frozenset(blanked(each.replace("…", "SERVER")) for each in (*inline, *blocks))
