"""Pages of the checkout as pages of the site: where each is, and what its links lead to there.

In the checkout a page is read where code is hosted, so its links lead to files. On the site they
lead to pages; of a link to code only the text is left.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HOME = "index.md"
EXAMPLES = "reference/examples.md"
_OUTSIDE = ("http://", "https://", "mailto:")
_LINK_OR_CODE = re.compile(
    r"\[(?P<text>[^\]]+)\]\((?P<target>[^)\s]+)\)|(?P<fence>`+).+?(?P=fence)", re.DOTALL
)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_FENCE = re.compile(r"^ *(```+|~~~+)")
_ITEM = re.compile(r"^(?P<marker>[*-]|\d+\.) +")
_STEP = 4  # columns by which Python-Markdown wants what belongs to an item of a list


class SiteError(Exception):
    """The site cannot be made of these pages; the message names page and cause."""


@dataclass(frozen=True)
class Places:
    """`pages`: path in the checkout -> path on the site, both relative to their roots. Several may
    share one. `files`: those that are copied as they are.
    """

    pages: Mapping[str, str]
    files: Mapping[str, str]


def places() -> Places:
    """Of the checkout as it is."""
    docs = ROOT / "docs"
    pages = {f"docs/{name}": name for name in sorted(_below(docs, "*.md"))}
    pages |= {"docs/index.md": HOME, "README.md": HOME}  # the site's navigation is the index
    pages |= {f"{name}.md": f"{name.lower()}.md" for name in ("CONTRIBUTING", "SECURITY")}
    pages |= {"CHANGELOG.md": "changelog.md", "manifests/examples": EXAMPLES}
    pages |= {
        f"tests/beds/{readme.parent.name}/README.md": f"beds/{readme.parent.name}.md"
        for readme in (ROOT / "tests" / "beds").glob("*/README.md")
    }
    files = {f"docs/{name}": name for name in sorted(_below(docs, "*.svg", "*.png"))}
    return Places(pages, files | {"LICENSE": "LICENSE.txt"})


def _below(folder: Path, *patterns: str) -> list[str]:
    found = (file for pattern in patterns for file in folder.rglob(pattern))
    return [file.relative_to(folder).as_posix() for file in found]


def on_the_site(source: str, text: str, known: Places) -> str:
    """A page's text with links that work on the site, and lists as Python-Markdown reads them.

    Raises SiteError where a link leads to nothing.
    """
    page = known.pages[source]

    def moved(match: re.Match[str]) -> str:
        target = match["target"]
        if target is None or target.startswith((*_OUTSIDE, "#")):
            return match.group()
        name, mark, anchor = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), name))
        if there.startswith("manifests/examples/"):
            mark, anchor, there = "#", posixpath.basename(there), "manifests/examples"
        found = known.pages.get(there) or known.files.get(there)
        if found is None and not (ROOT / there).exists():
            raise SiteError(f"{source}: the link to {target} leads nowhere")
        if found is None:
            return match["text"]
        path = posixpath.relpath(found, posixpath.dirname(page) or ".")
        return f"[{match['text']}]({path}{mark}{anchor})"

    return "\n".join(_lines(_LINK_OR_CODE.sub(moved, _COMMENT.sub("", text)))) + "\n"


def _lines(text: str) -> list[str]:
    """What is indented under an item of a list is indented by four columns, not by two or three,
    and a list begins after an empty line.
    """
    made: list[str] = []
    within, fenced, before = 0, False, ""
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        item = None if fenced else _ITEM.match(line)
        if item:
            if before.strip() and not within:
                made.append("")
            within = item.end()
        elif line.strip() and not line.startswith(" " * (within or 1)) and not before.strip():
            within = 0
        inside = within and not item and line.startswith(" " * within)
        made.append(" " * (_STEP - within) + line if inside else line)
        before = line
    return made
