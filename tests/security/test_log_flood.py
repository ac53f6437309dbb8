"""A drain that flaps at every reconciliation does not fill the log."""

import json
import logging
import threading
import time
from collections.abc import Iterator

import pytest

from quiesce.api.errors import CloudUnreachable
from quiesce.ops import log_limit
from quiesce.ops.logging import fields, set_up
from tests.harness.inprocess import KEY
from tests.unit.drain.test_reconcile import Still, operator

TICKS = 600


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("quiesce").setLevel(logging.NOTSET)
    logging.captureWarnings(False)
    threading.excepthook = hook


@pytest.mark.finding("L5")
@pytest.mark.usefixtures("logging_as_it_was")
def test_a_cloud_that_answers_every_second_time(capsys: pytest.CaptureFixture[str]) -> None:
    """Each reconciliation has another reason than the last one: an event, and a line."""
    set_up("json", "info")
    began = time.monotonic()
    process, _ = operator(Still())
    there = process.clouds.cloud
    with fields(drain=str(KEY)):
        for number in range(TICKS):
            process.clouds.cloud = CloudUnreachable("no answer") if number % 2 else there
            process.reconcile()
    logging.getLogger("quiesce.app").info("of another one")
    took = time.monotonic() - began
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    flood = [line for line in lines if line.get("drain") == str(KEY)]
    told = [line for line in flood if "omitted" in line]
    assert len(flood) - len(told) >= log_limit.BURST
    assert len(flood) - len(told) <= log_limit.BURST + 1 + took * log_limit.PER_SECOND
    assert lines[-1]["message"] == "of another one"
