"""The benches use the same real beds as the stories, and tell their figures in one table."""

import pytest

from tests.bench.figures import FIGURES
from tests.e2e.conftest import (
    account,
    cloud,
    cloud_bed,
    credentials,
    host,
    hosts,
    kube,
    kube_bed,
    namespace,
    tidy_end,
)

__all__ = [
    "account",
    "cloud",
    "cloud_bed",
    "credentials",
    "host",
    "hosts",
    "kube",
    "kube_bed",
    "namespace",
    "tidy_end",
]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if FIGURES.found:
        terminalreporter.section("figures")
        for line in FIGURES.table():
            terminalreporter.write_line(line)
        FIGURES.save()
