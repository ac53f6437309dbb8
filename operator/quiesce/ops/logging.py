"""Log lines on stderr: text for people or JSON for machines, with the same fields and no secret.

log = get_logger(__name__)
with fields(drain="openstack/compute-07"):          # on every line of this thread in the block
    log.info("moving", extra={"server": uuid})      # on this line
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from quiesce.api.outside import bounded, names_a_secret, redact
from quiesce.ops.log_limit import LineLimit

_LEVELS = {"kopf": "WARNING", "urllib3": "ERROR", "paramiko": "CRITICAL"}
"""Everything else that is not ours: WARNING. At debug level clients show the bodies of Secrets."""
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OF_KOPF = frozenset({"k8s_ref", "k8s_skip", "settings"})
_TRACE_LINES = 200
_INDENT = "    "  # of a traceback: the text of an error may have lines that look like ours
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""What moves the cursor, ends a line, turns the direction of writing, or is not seen at all."""

_fields: ContextVar[dict[str, Any]] = ContextVar("fields", default={})  # noqa: B039 - never changed


def get_logger(name: str) -> logging.Logger:
    """The logger of a module: call it with `__name__`."""
    return logging.getLogger(name)


@contextmanager
def fields(**named: Any) -> Iterator[None]:
    """Puts these fields on every line that is logged inside the block."""
    token = _fields.set({**_fields.get(), **named})
    try:
        yield
    finally:
        _fields.reset(token)


def with_fields(target: Callable[..., None]) -> Callable[..., None]:
    """The same function for another thread, whose lines have the fields of this one."""
    named = _fields.get()

    def run(*args: Any) -> None:
        with fields(**named):
            target(*args)

    return run


def set_up(form: str, level: str) -> None:
    """`form`: text or json; `level`: debug, info, warning, error. Replaces an earlier set-up."""
    handler = _Limited(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel("WARNING")
    for name, fixed in {**_LEVELS, "quiesce": level.upper()}.items():
        logging.getLogger(name).setLevel(fixed)
    logging.captureWarnings(True)
    threading.excepthook = _log_thread_death


class _Limited(logging.StreamHandler[TextIO]):
    """Leaves out what is beyond the bound of its resource, and says so."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._limit = LineLimit()

    def emit(self, record: logging.LogRecord) -> None:
        admitted, told = self._limit.admit(record, {**_fields.get(), **vars(record)})
        token = _fields.set({})  # what is told is of other resources
        try:
            for each in told:
                super().emit(each)
        finally:
            _fields.reset(token)
        if admitted:
            super().emit(record)


class TextLines(logging.Formatter):
    """`2026-01-31 14:30:12.345Z INFO    drain.act        moving server=4f0…`"""

    def format(self, record: logging.LogRecord) -> str:
        name = record.name.removeprefix("quiesce.")
        date, time = _time(record).split("T")
        parts = [f"{date} {time} {record.levelname:<7} {name:<18} {_message(record)}"]
        parts += [f"{key}={_word(value)}" for key, value in _extra(record).items()]
        return " ".join(parts) + "".join(f"\n{_INDENT}{line}" for line in _trace(record))


class JsonLines(logging.Formatter):
    """One object a line: fields, time (RFC 3339, UTC), level, logger, message, exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            **_extra(record),
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if trace := _trace(record):
            line["exception"] = "\n".join(trace)
        return json.dumps(line, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    return _logged(record.getMessage())


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    own = {key: value for key, value in vars(record).items() if key not in _STANDARD | _OF_KOPF}
    return {
        key: _clean(key, value)
        for key, value in {**_fields.get(), **own}.items()
        if value is not None
    }


def _clean(key: str, value: Any) -> Any:
    if names_a_secret(key):
        return "***"
    return value if isinstance(value, bool | int | float) else _logged(str(value))


def _trace(record: logging.LogRecord) -> list[str]:
    """Lines of the traceback. kopf's own are left out: its message says the same."""
    if not record.exc_info or record.name.startswith("kopf._"):
        return []
    lines = logging.Formatter().formatException(record.exc_info).split("\n")
    return redact("\n".join(_one_line(bounded(line)) for line in lines[-_TRACE_LINES:])).split("\n")


def _logged(text: str) -> str:
    return _one_line(redact(bounded(text)))


def _one_line(text: str) -> str:
    """Names come from users: no line break, no escape of a terminal, no mark that makes a line look
    like another one reaches the log.
    """
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)


def _word(value: Any) -> str:
    text = str(value)
    return text if text and not re.search(r'[\s"=]', text) else json.dumps(text, ensure_ascii=False)


def _log_thread_death(death: threading.ExceptHookArgs) -> None:
    if death.exc_value is not None and not isinstance(death.exc_value, SystemExit):
        name = death.thread.name if death.thread else "unknown"
        trace = (death.exc_type, death.exc_value, death.exc_traceback)
        log = logging.getLogger("quiesce")
        log.error("thread %s ended with an unexpected error", name, exc_info=trace)
