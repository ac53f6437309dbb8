"""The documentation as a site: it builds strictly, is complete, and fetches nothing elsewhere."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from tools.site import crds, reasons
from tools.site.sources import SiteError, on_the_site, places

from quiesce.api.drain.reasons import DrainReason, ServerReason
from quiesce.api.explanations import load
from quiesce.settings import _OPTIONS


class Fetched(HTMLParser):
    """What a browser fetches for a page. Links are not: a reader follows those."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = {"link": "href", "a": ""}.get(tag, "src")
        if given.get(name):
            self.found.append(str(given[name]))


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 100
    fetched = {name for page in pages for name in Fetched(page.read_text()).found}
    assert [name for name in fetched if re.match(r"(https?:)?//", name)] == []
    styles = "".join(file.read_text() for file in site.rglob("*.css"))
    assert re.findall(r"url\(\"?(?:https?:)?//[^)]*", styles) == []


@pytest.mark.parametrize("reason", [*DrainReason, *ServerReason])
def test_every_reason_has_a_page_that_says_what_it_means(site: Path, reason: str) -> None:
    page = (site / "reasons" / reason / "index.html").read_text()
    texts = [
        row.meaning or row.action for table in load() for row in table.rows if reason in row.words
    ]
    assert texts
    first = re.split(r"[`\[*<&.,;:'\"]", texts[0])[0].strip()
    assert first[1:] in page


def test_every_field_of_the_crds_is_in_the_reference(site: Path) -> None:
    for crd in crds.crds():
        page = (site / crds.path_of(crd).removesuffix(".md") / "index.html").read_text()
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        missing = [name for name in fields(schema) if f"<code>{name}</code>" not in page]
        assert missing == []


def fields(schema: crds.Schema) -> set[str]:
    """Names of all fields at any depth."""
    inner = {**schema.get("properties", {}), **schema.get("items", {}).get("properties", {})}
    return set(inner).union(*(fields(field) for field in inner.values()))


def test_every_flag_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "command-line" / "index.html").read_text()
    assert [option.flag for option in _OPTIONS if option.flag not in page] == []


def test_every_page_of_docs_is_in_the_navigation() -> None:
    class Loader(yaml.SafeLoader):
        """Of mkdocs.yml, whose tags are those of MkDocs."""

    Loader.add_multi_constructor("", lambda *_: None)
    root = Path(__file__).parents[2]
    nav = str(yaml.load((root / "mkdocs.yml").read_text(), Loader)["nav"])
    assert [page for page in places().pages.values() if f"'{page}'" not in nav] == []


def test_a_link_that_leads_nowhere_ends_the_build() -> None:
    with pytest.raises(SiteError, match=r"docs/usage\.md: the link to gone\.md leads nowhere"):
        on_the_site("docs/usage.md", "See [it](gone.md).", places())


def test_links_lead_to_pages_of_the_site_and_code_stays_as_it_is() -> None:
    text = "[a](../README.md#use), [`b`](../manifests/examples/keyring.yaml), `[c](d.md)`, [e](#f)"
    made = on_the_site("docs/usage.md", text, places())
    assert made == (
        "[a](index.md#use), [`b`](reference/examples.md#keyring.yaml), `[c](d.md)`, [e](#f)\n"
    )


def test_lists_are_lists_of_python_markdown() -> None:
    text = "Text:\n* one\n  more\n\n      code\n\n  text\n* two\n\nafter\n"
    made = on_the_site("docs/usage.md", text, places())
    assert made == "Text:\n\n* one\n    more\n\n        code\n\n    text\n* two\n\nafter\n"


def test_every_table_and_list_is_one(site: Path) -> None:
    """None is shown as its Markdown."""
    raw = re.compile(r"<p>(\||\* |\d+\. )|^\|-")
    shown = {
        str(page.relative_to(site)) for page in site.rglob("*.html") if raw.search(page.read_text())
    }
    assert shown == set()


def test_the_index_names_every_reason() -> None:
    index = reasons.index(load())
    assert [word for word in reasons.words(load()) if f"[`{word}`]" not in index] == []
