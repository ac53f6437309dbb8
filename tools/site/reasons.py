"""A page for each reason, and an index of them.

What a reason means and what to do come from where `kubectl quiesce explain` takes them. The pages
add what other pages know: states in which the drain gives this reason, and where more is said.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from quiesce.api.explanations import Meaning, Table, load, meanings
from tools.site.sources import ROOT

INDEX = "reasons.md"
_HEADING = re.compile(r"^(#+) (.+)$")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
NOT_CITED = frozenset({"changelog.md", "states.md", "contributing.md", "testing.md"})
"""They name a reason in passing; states are shown on the page of the reason itself."""


def words(tables: Iterable[Table]) -> list[str]:
    """Every word that has a page."""
    return sorted({word for table in tables for row in table.rows for word in row.words})


def path_of(word: str) -> str:
    return f"reasons/{word}.md"


def pages(site: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(path, text) of each. `site`: path -> text of the pages that may be cited."""
    tables = load()
    for word in words(tables):
        yield path_of(word), page(word, meanings(tables, word), site)
    yield INDEX, index(tables)


def page(word: str, found: Iterable[Meaning], site: Mapping[str, str]) -> str:
    lines = [f"# {word}"]
    for meaning in found:
        lines += ["", f"## {meaning.table.says[0].upper()}{meaning.table.says[1:]}", ""]
        lines += _meaning(meaning)
    lines += _states(word, site["states.md"])
    lines += _cited(word, site)
    return "\n".join([*lines, "", f"[All words of the status](../{INDEX})", ""])


def _meaning(meaning: Meaning) -> Iterator[str]:
    row, page = meaning.row, posixpath.basename(meaning.table.page)
    title = _section(meaning.table)
    there = f"[{page.removesuffix('.md')}: {title}](../{page}#{slug(title)})"
    if row.meaning:
        yield from (_sentence(_from_folder(row.meaning, page)), "")
    if row.action:
        yield from (f'!!! tip "{meaning.table.columns[-1].capitalize()}"', "")
        yield from (f"    {_sentence(_from_folder(row.action, page))}", "")
    yield f"More: {there}."


def _section(table: Table) -> str:
    """The heading under which the table stands on its page."""
    before = (ROOT / table.page).read_text().partition(f"<!-- reasons: {table.name} -->")[0]
    return str(re.findall(r"^#+ (.+)$", before, re.MULTILINE)[-1])


def _from_folder(text: str, page: str) -> str:
    """The links of `page`, from a folder of the site."""
    return re.sub(r"\]\((?=[\w-]+\.md)", "](../", text.replace("](#", f"]({page}#"))


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


def _states(word: str, states: str) -> Iterator[str]:
    """The rows of docs/states.md that have it as their reason, each table with its head."""
    table: list[str] = []
    shown = False
    for line in [*states.splitlines(), ""]:
        if line.startswith("|"):
            table.append(line)
            continue
        rows = [row for row in table[2:] if f"`{word}`" in row]
        if rows and not shown:
            yield from ("", "## Servers in these states")
        if rows:
            shown = True
            yield from ("", *table[:2], *rows)
        table = []


def _cited(word: str, site: Mapping[str, str]) -> Iterator[str]:
    """Sections of other pages in which it is named, but for rows of tables."""
    found = []
    for path, text in sorted(site.items()):
        if path in NOT_CITED or path.startswith("reference/"):
            continue
        title, anchor = "", ""
        for line in _FENCED.sub("", text).splitlines():
            if heading := _HEADING.match(line):
                title, anchor = heading[2], slug(heading[2])
            if f"`{word}`" in line and not line.startswith("|"):
                found.append(f"* [{path.removesuffix('.md')}: {title}](../{path}#{anchor})")
    if found:
        yield from ("", "## Where it is named", "", *dict.fromkeys(found))


def slug(heading: str) -> str:
    """The anchor of a heading, as code forges and this site make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def index(tables: Iterable[Table]) -> str:
    """Every word, under what it is a word of."""
    lines = [
        "# Phases, conditions and reasons",
        "",
        "Every word that a status can show, each with a page: what it means, and what to do. "
        "`kubectl quiesce explain WORD` prints the same.",
    ]
    for table in tables:
        shown = ", ".join(f"[`{w}`](reasons/{w}.md)" for row in table.rows for w in row.words)
        lines += ["", f"## {table.says[0].upper()}{table.says[1:]}", "", shown]
    return "\n".join([*lines, ""])
