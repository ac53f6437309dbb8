"""Words that do not belong in messages and documentation, and where they are.

    PYTHONPATH=operator python -m tests.docs.wording [FILE ...]

prints a line for each. Without a name: every file that a user or a contributor reads. The glossary
in CONTRIBUTING.md says which word to use instead.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
GLOSSARY = "## Glossary"
"""The heading in CONTRIBUTING.md of the one section that may name them."""

# pattern (between word boundaries, in any case) -> what to write
AVOID = {
    r"in no way": "cannot",
    r"anew": "again",
    r"dear(er|est)?": "expensive",
    r"(giv(e|es|ing|en)|gave) up": "release, abandon; deadline",
    r"(giv(e|es|ing|en)|gave)( [\w'…]+){0,4} back": "restore, release",
    r"let(s|ting)?( [\w'…]+){0,3} go": "release",
    r"in hand": "in progress",
    r"in work": "in progress",
    r"look(s|ed|ing)? after": "manage, watch",
    r"(an?|each|every|next|very|one|two|first|last|another) looks?": "reconciliation, poll",
    r"(?-i:glances?(?!\.yaml))": "quick poll",  # Glance is OpenStack's image service
    r"sights?": "observation",
    r"shall": "a verb in the present tense",
    r"said": "message; reported",
    r"somebody": "another user, a person",
    r"whoever": "anyone who",
    r"litter(s|ed)?": "stale files",
    r"sick": "failing",
    r"mend(s|ed|ing)?": "repair",
    r"ever more slowly": "with increasing delays",
    r"for ever": "forever; never ends",
    r"be it": "whether",
    r"(is|are|be) well": "healthy",
    r"(be|is|are) had": "available",
    r"out of reach": "unreachable",
    r"ways? out": "remedy, remedies",
    r"(Nova|ssh|host|OpenStack)'s (own )?words": "message",
    r"an own": "its own",
    r"(no|enough|make|makes|there is|has|have|finds?) room": "capacity, space, slots",
    r"whence|whereby|hence|thereof|lest|aloud": "a plain word",
}
_AVOID = [  # a blank in a pattern is any white space: lines break anywhere
    (re.compile(rf"(?i)\b(?:{pattern})\b".replace(" ", r"\s+")), instead)
    for pattern, instead in AVOID.items()
]


class Finding(NamedTuple):
    """One use of a word to avoid."""

    file: Path
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}: {self.found!r}: write {self.instead}"


def documents() -> list[Path]:
    """What is not code: pages, resource definitions, manifests."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted([*pages, *(ROOT / "crds").glob("*.yaml"), *(ROOT / "manifests").rglob("*.yaml")])


def sources() -> list[Path]:
    """The product's code: of it, what a person reads are texts and docstrings."""
    return sorted((ROOT / "operator").rglob("*.py"))


def findings(file: Path) -> list[Finding]:
    """In the order of their lines."""
    texts = _strings(file) if file.suffix == ".py" else [(1, _prose(file))]
    return sorted(
        Finding(file, first + text.count("\n", 0, match.start()), match.group(), instead)
        for first, text in texts
        for pattern, instead in _AVOID
        for match in pattern.finditer(text)
    )


def _prose(file: Path) -> str:
    """Its text without what programs printed and without the glossary; lines keep their number."""
    text = file.read_text()
    if file.suffix == ".md":
        text = re.sub(r"(?ms)^```console\n.*?^```", _blank, text)
        text = re.sub(rf"(?ms)^{GLOSSARY}\n.*?(?=^## |\Z)", _blank, text)
    return text


def _blank(match: re.Match[str]) -> str:
    return "\n" * match.group().count("\n")


def _strings(file: Path) -> Iterator[tuple[int, str]]:
    """Each string of the code with its first line; in an f-string, `…` stands for a value."""
    waiting: list[ast.AST] = [ast.parse(file.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield node.lineno, "".join(str(part) for part in parts)
            waiting += [part for part in node.values if not isinstance(part, ast.Constant)]
        else:
            waiting += ast.iter_child_nodes(node)


def main(names: list[str]) -> int:
    """Prints what it finds; the exit code is 1 if it finds anything."""
    files = [Path(name).resolve() for name in names] or [*documents(), *sources()]
    found = [finding for file in files for finding in findings(file)]
    for finding in found:
        print(finding)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
