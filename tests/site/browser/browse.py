"""Reads a built site as a person does, in a real browser, and prints what was found as JSON.

    …/docs-…/bin/python tests/site/browser/browse.py SITE CHROMIUM [PICTURES]

Runs in the environment of `make docs`, which has Playwright. PICTURES: a folder for screenshots.
"""

import json
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
SOUGHT = "VERIFY_RESIZE"
SHOWN = (  # in pictures
    "",
    "first-drain/",
    "status/",
    "states/",
    "reasons/ColdMigrationPaused/",
    "reference/computenodedrain/",
    "field-cases/",
)
LINKS = "[...document.querySelectorAll('a[href]')].map(a => a.href)"
IDS = "[...document.querySelectorAll('[id]')].map(e => e.id)"
LEFT = "net::ERR_ABORTED"  # the page was left before it was complete
WIDTH = "document.documentElement.scrollWidth"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing: stdout is the result's, and stderr is for what fails."""


def serve(site: Path) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Visit:
    """Of all pages, at the width of a phone. `bad`: what a browser complains about, and where."""

    def __init__(self, page: Any, base: str) -> None:
        self.page, self.base = page, base
        self.bad: list[str] = []
        self.wide: list[str] = []
        self.links: dict[str, str] = {}
        self.ids: dict[str, set[str]] = {}
        page.on("console", self.console)
        page.on("pageerror", lambda error: self.note(str(error)))
        page.on("requestfailed", self.failed)
        page.on("request", lambda request: self.elsewhere(request.url))

    def failed(self, request: Any) -> None:
        if request.failure != LEFT:
            self.note(f"{request.url}: {request.failure}")

    def console(self, said: Any) -> None:
        if said.type == "error":
            self.note(said.text)

    def note(self, text: str) -> None:
        self.bad.append(f"{self.page.url}: {text}")

    def elsewhere(self, url: str) -> None:
        if not url.startswith((self.base, "data:", "blob:")):
            self.note(f"asks for {url}")

    def read(self, path: str) -> None:
        url = self.base + path
        self.page.goto(url)
        self.ids[url] = set(self.page.evaluate(IDS))
        self.links |= dict.fromkeys(self.page.evaluate(LINKS), url)
        if (width := self.page.evaluate(WIDTH)) > PHONE["width"]:
            self.wide.append(f"{path}: {width} pixels")

    def broken(self) -> list[str]:
        """Links within the site that lead to no page, or to no place on one."""
        ours = {link: page for link, page in self.links.items() if link.startswith(self.base)}
        return [f"{page}: {link}" for link, page in ours.items() if not self.leads(link)]

    def leads(self, link: str) -> bool:
        url, _, anchor = link.partition("#")
        if url in self.ids:
            return not anchor or anchor in self.ids[url]
        return bool(self.page.request.head(url).ok)


def search(page: Any, base: str) -> list[str]:
    """Titles of the pages that a search finds."""
    page.set_viewport_size(DESK)
    page.goto(base)
    page.keyboard.press("/")
    page.keyboard.type(SOUGHT, delay=20)
    results = page.locator(".md-search-result__item h1")
    results.first.wait_for()
    return [str(text) for text in results.all_inner_texts()]


def schemes(page: Any, base: str) -> list[str]:
    """The color scheme before and after a click on the toggle, and on the next page."""
    page.goto(base)
    body = page.locator("body")
    found = [body.get_attribute("data-md-color-scheme")]
    page.locator("label[for=__palette_1]").click()
    found.append(body.get_attribute("data-md-color-scheme"))
    page.goto(base + "status/")
    return [*found, body.get_attribute("data-md-color-scheme")]


def pictures(browser: Any, base: str, folder: Path) -> None:
    for name, scheme, size in (
        ("light", "light", DESK),
        ("dark", "dark", DESK),
        ("phone", "light", PHONE),
    ):
        page = browser.new_page(color_scheme=scheme, viewport=size)
        for path in SHOWN:
            page.goto(base + path)
            title = path.strip("/").replace("/", "-") or "home"
            page.screenshot(path=folder / f"{title}-{name}.png")
        page.close()


def main(site: Path, chromium: str, folder: Path | None) -> None:
    server = serve(site)
    base = f"http://127.0.0.1:{server.server_port}/"
    paths = sorted(
        str(file.parent.relative_to(site)) + "/"
        for file in site.rglob("index.html")
        if file.parent != site
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        visit = Visit(browser.new_page(color_scheme="light", viewport=PHONE), base)
        for path in ("", *paths):
            visit.read(path)
        found = {
            "pages": len(visit.ids),
            "links": len(visit.links),
            "broken": visit.broken(),
            "wide": visit.wide,
            "search": search(visit.page, base),
            "schemes": schemes(visit.page, base),
            "bad": visit.bad,
            "browser": browser.version,
        }
        if folder:
            pictures(browser, base, folder)
        browser.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]) if sys.argv[3:] else None)
