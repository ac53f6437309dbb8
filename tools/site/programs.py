"""A page with what each program's `--help` prints."""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from unittest import mock

from quiesce.__main__ import main

PATH = "reference/command-line.md"
COMMANDS = ((), ("run",), ("credentials",))
COLUMNS = "96"


def page() -> str:
    return "\n".join(["# Command line", "", *_sections(), ""])


def _sections() -> Iterator[str]:
    yield "What `--help` prints. [Operations](../operations.md#the-program) explains it."
    for words in COMMANDS:
        command = " ".join(("quiesce", *words))
        yield from ("", f"## `{command}`", "", "```text", help_of(words).strip(), "```")


def help_of(words: Sequence[str]) -> str:
    """As wide as a page of the site, whatever the terminal is."""
    printed = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": COLUMNS}),
        contextlib.redirect_stdout(printed),
        contextlib.suppress(SystemExit),
    ):
        main([*words, "--help"])
    return printed.getvalue()
