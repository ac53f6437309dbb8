"""Log lines carry their fields, stay on one line, and never a secret, in either format."""

import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from quiesce.api.outside import redact
from quiesce.ops.logging import JsonLines, TextLines, fields, get_logger, set_up

FORMS = ["text", "json"]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root, hook = logging.getLogger(), threading.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("quiesce").setLevel(logging.NOTSET)
    logging.captureWarnings(False)
    threading.excepthook = hook


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text", "info")
    with fields(drain="openstack/compute-07"):
        get_logger("quiesce.drain.act").info(
            "moving %s", "db-3", extra={"server": "4f0", "note": 'a "b" c'}
        )
    (line,) = lines(capsys)
    time, _, rest = line.partition("Z ")
    assert len(time) == len("2026-01-31 14:30:12.345")
    assert rest.split(maxsplit=2)[:2] == ["INFO", "drain.act"]
    assert rest.endswith('moving db-3 drain=openstack/compute-07 server=4f0 note="a \\"b\\" c"')


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json", "info")
    with fields(drain="openstack/compute-07"):
        get_logger("quiesce.drain.act").warning(
            "moving %s", "db-3", extra={"server": "4f0", "attempt": 2, "host": None}
        )
    line = json.loads(lines(capsys)[0])
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "quiesce.drain.act",
        "message": "moving db-3",
        "drain": "openstack/compute-07",
        "server": "4f0",
        "attempt": 2,
    }


@pytest.mark.parametrize("form", FORMS)
def test_fields_end_with_their_block_and_stay_in_their_thread(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(form, "info")
    log = get_logger("quiesce.x")
    with fields(drain="a/b"), fields(server="s1"):
        other = threading.Thread(target=log.info, args=["elsewhere"])
        other.start()
        other.join()
        log.info("both")
    log.info("none")
    elsewhere, both, none = lines(capsys)
    assert "a/b" in both and "s1" in both
    assert not any(word in line for line in (elsewhere, none) for word in ("a/b", "s1"))


@pytest.mark.finding("S7")
@pytest.mark.promise("never-10")
@pytest.mark.parametrize("form", FORMS)
def test_names_that_users_choose_cannot_forge_lines_or_move_the_cursor(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up(form, "info")
    get_logger("quiesce.x").info("server %s", "a\nb\x1b[2J", extra={"name_": "c\r\nd\u2028e"})
    (line,) = lines(capsys)
    assert line.isprintable()


@pytest.mark.finding("L2")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u200b", "\u00ad", "\ufeff", "\U000e0041"])
def test_no_line_looks_like_another_one(
    mark: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Marks of the direction of writing, and what is not seen at all."""
    set_up(form, "info")
    get_logger("quiesce.x").info("status %s", f"AB{mark}CD", extra={"host": f"ab{mark}cd"})
    (line,) = lines(capsys)
    assert mark not in line and line.isprintable()


@pytest.mark.parametrize("form", FORMS)
def test_a_traceback_comes_along_redacted(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up(form, "info")
    try:
        int("password='hunter2'")
    except ValueError:
        get_logger("quiesce.x").exception("oops")
    text = "\n".join(lines(capsys))
    if form == "json":
        text = json.loads(text)["exception"]
    assert "test_logging.py" in text and "ValueError: invalid literal" in text
    assert "hunter2" not in text


@pytest.mark.finding("L2")
def test_the_text_of_an_error_forges_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text", "info")
    error = ValueError("x\n2026-01-31 14:30:12.345Z INFO    drain.act  host restored")
    get_logger("quiesce.x").error("oops", exc_info=error)
    first, *others = lines(capsys)
    assert first.endswith("oops")
    assert all(line.startswith(" ") for line in others)


SECRETS = [
    "password=hunter2",
    "'password': 'hunter2 with spaces'",
    '"password": "hunter2"',
    '{\\"password\\": \\"hunter2\\"}',
    "password: hunter2",
    "b'password': b'hunter2'",
    "application_credential_secret: hunter2",
    "application_credential_secret='hunter2'",
    "X-Auth-Token: hunter2",
    "X-Subject-Token: hunter2",
    "Authorization: Bearer hunter2",
    "Authorization: Basic hunter2",
    "curl -H 'Bearer hunter2.hunter2'",
    "auth_token=hunter2",
    "?token=hunter2&x=1",
    "'token': 'hunter2'",
    "mysql+pymysql://nova:hunter2@db/nova",
    "https://quiesce:hunter2@keystone.example.org/v3",
    "private_key=hunter2",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\nhunter2\n-----END OPENSSH PRIVATE KEY-----",
    "key: -----BEGIN PRIVATE KEY-----\\nhunter2\\n-----END PRIVATE KEY-----\\n",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2",  # cut off
    "gAAAAABhunter2hunter2hunter2hunter2",
    "eyJhbGciOiJSUzI1NiIsIm.eyJpc3MiOiJhunter2.c2lnbmF0hunter2",
]


@pytest.mark.promise("never-10")
@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_masked(text: str) -> None:
    assert "hunter2" not in redact(f"before {text} after")
    assert redact(f"before {text} after").startswith("before ")


@pytest.mark.promise("never-10")
@pytest.mark.parametrize("form", [TextLines(), JsonLines()])
@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_masked_wherever_they_appear(form: logging.Formatter, text: str) -> None:
    record = logging.makeLogRecord(
        {"name": "quiesce.x", "msg": "%s", "args": (text,), "body": text, "list_": [text]}
    )
    assert "hunter2" not in form.format(record)


@pytest.mark.parametrize(
    "key", ["password", "admin_password", "auth_token", "privateKey", "passphrase"]
)
@pytest.mark.parametrize("form", [TextLines(), JsonLines()])
def test_fields_with_secret_names_are_masked(form: logging.Formatter, key: str) -> None:
    assert "hunter2" not in form.format(
        logging.makeLogRecord({"name": "quiesce.x", "msg": "m", key: "hunter2"})
    )


@pytest.mark.parametrize(
    "text",
    [
        "Secret openstack/clouds has no key clouds.yaml",
        "GET /servers/detail: HTTP 500 (req-8f3c2b1e-1111-2222-3333-444455556666)",
        "the token was refused: HTTP 401",
        "https://keystone.example.org:5000/v3 refused the password of user quiesce",
        "moved 12/40; 1 blocked: db-3 (suspended)",
        "Permission denied (publickey,password).",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_other_libraries_stay_quiet_even_at_debug_level(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text", "debug")
    for name in (
        "kubernetes.client.rest",
        "urllib3",
        "kopf._core.reactor.running",
        "keystoneauth.session",
        "paramiko",
    ):
        logging.getLogger(name).info("response body: the content of a Secret")
    get_logger("quiesce.x").debug("ours")
    assert [line.split()[-1] for line in lines(capsys)] == ["ours"]


def test_of_kopf_one_line_without_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text", "info")
    try:
        dict[str, str]()["gone"]
    except KeyError:
        logging.getLogger("kopf._cogs.clients.api").exception("Watcher has failed: gone")
    (line,) = lines(capsys)
    assert "Watcher has failed: gone" in line


def test_a_thread_that_dies_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("text", "info")

    def die() -> Any:
        raise RuntimeError("no way")

    thread = threading.Thread(target=die, name="drain-3")
    thread.start()
    thread.join()
    text = "\n".join(lines(capsys))
    assert "thread drain-3 ended with an unexpected error" in text
    assert "RuntimeError: no way" in text
