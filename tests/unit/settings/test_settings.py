"""What is accepted on the command line and in the environment, and the error where it is wrong."""

from typing import Any

import pytest

from quiesce import __version__
from quiesce.api.selector import Selector
from quiesce.exits import Exit
from quiesce.settings import LeaseName, Listen, Settings, parse

FLAGS_AND_VARIABLES: list[tuple[str, str, str, str, Any]] = [
    ("--namespace", "QUIESCE_NAMESPACE", "openstack", "namespaces", ("openstack",)),
    ("--namespace", "QUIESCE_NAMESPACE", "a, b,a", "namespaces", ("a", "b")),
    (
        "--watch-label-selector",
        "QUIESCE_WATCH_LABEL_SELECTOR",
        "shard in (a,b),!off",
        "selector",
        Selector.parse("!off,shard in (b,a)"),
    ),
    ("--lease", "QUIESCE_LEASE", "quiesce", "lease", LeaseName("", "quiesce")),
    ("--lease", "QUIESCE_LEASE", "ns/quiesce", "lease", LeaseName("ns", "quiesce")),
    ("--lease", "QUIESCE_LEASE", "none", "lease", None),
    ("--context", "QUIESCE_CONTEXT", "prod", "context", "prod"),
    ("--workers", "QUIESCE_WORKERS", "3", "workers", 3),
    ("--poll-interval", "QUIESCE_POLL_INTERVAL", "0.5", "poll_interval", 0.5),
    ("--poll-interval", "QUIESCE_POLL_INTERVAL", "5s", "poll_interval", 5.0),
    ("--idle-interval", "QUIESCE_IDLE_INTERVAL", "1m30s", "idle_interval", 90.0),
    ("--max-moves", "QUIESCE_MAX_MOVES", "20", "max_moves", 20),
    ("--max-arrivals", "QUIESCE_MAX_ARRIVALS", "6", "max_arrivals", 6),
    ("--settle", "QUIESCE_SETTLE", "0", "settle", 0.0),
    ("--visit-timeout", "QUIESCE_VISIT_TIMEOUT", "2m", "visit_timeout", 120.0),
    ("--log-format", "QUIESCE_LOG_FORMAT", "JSON", "log_format", "json"),
    ("--log-level", "QUIESCE_LOG_LEVEL", "debug", "log_level", "debug"),
    ("--listen", "QUIESCE_LISTEN", "0.0.0.0:9000", "listen", Listen("0.0.0.0", 9000)),
    ("--listen", "QUIESCE_LISTEN", ":8080", "listen", Listen("", 8080)),
    ("--listen", "QUIESCE_LISTEN", "[::1]:8080", "listen", Listen("::1", 8080)),
    ("--listen", "QUIESCE_LISTEN", "none", "listen", None),
]


@pytest.mark.parametrize(("flag", "variable", "text", "field", "value"), FLAGS_AND_VARIABLES)
def test_every_flag_has_a_variable(
    flag: str, variable: str, text: str, field: str, value: Any
) -> None:
    assert getattr(parse(["run", flag, text], {}), field) == value
    assert getattr(parse(["run", f"{flag}={text}"], {}), field) == value
    assert getattr(parse(["run"], {variable: text}), field) == value


def test_all_flags_are_in_the_table_above(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["run", "--help"], {})
    shown = {word.strip("[],;") for word in capsys.readouterr().out.split() if "$QUIESCE_" in word}
    assert shown == {f"${row[1]}" for row in FLAGS_AND_VARIABLES} | {"$QUIESCE_ALL_NAMESPACES"}


def test_defaults() -> None:
    assert parse(["run"], {}) == Settings()
    assert parse(["run"], {"QUIESCE_WORKERS": " ", "QUIESCE_LISTEN": ""}) == Settings(), (
        "empty means unset"
    )


def test_a_flag_wins_over_its_variable_even_a_wrong_one() -> None:
    assert parse(["run", "--workers", "2"], {"QUIESCE_WORKERS": "9"}).workers == 2
    assert parse(["run", "--workers", "2"], {"QUIESCE_WORKERS": "many"}).workers == 2


@pytest.mark.parametrize(
    ("argv", "environ", "namespaces", "all_namespaces"),
    [
        (["--namespace", "a", "--namespace", "b"], {}, ("a", "b"), False),
        (["--all-namespaces"], {}, (), True),
        ([], {"QUIESCE_ALL_NAMESPACES": "true"}, (), True),
        ([], {"QUIESCE_ALL_NAMESPACES": "false", "QUIESCE_NAMESPACE": "a"}, ("a",), False),
        (["--namespace", "a"], {"QUIESCE_ALL_NAMESPACES": "true"}, ("a",), False),
        (["--all-namespaces"], {"QUIESCE_NAMESPACE": "a"}, (), True),
    ],
)
def test_which_namespaces(
    argv: list[str], environ: dict[str, str], namespaces: tuple[str, ...], all_namespaces: bool
) -> None:
    settings = parse(["run", *argv], environ)
    assert (settings.namespaces, settings.all_namespaces) == (namespaces, all_namespaces)


@pytest.mark.parametrize(
    "environ",
    [
        {"OS_CLOUD": "devstack", "OS_AUTH_URL": "http://127.0.0.1:1", "OS_PASSWORD": "x"},
        # what a Service called "quiesce" puts into every pod of its namespace
        {
            "QUIESCE_SERVICE_HOST": "10.0.0.7",
            "QUIESCE_PORT": "tcp://10.0.0.7:80",
            "QUIESCE_PORT_80_TCP_PORT": "80",
        },
    ],
)
def test_variables_of_others_do_not_disturb(environ: dict[str, str]) -> None:
    assert parse(["run"], environ) == Settings()


WRONG = [
    (["--workers", "0"], {}, ["--workers", "'0'", "1 to 64"]),
    (["--workers", "²"], {}, ["--workers", "1 to 64"]),
    (["--workers", "99999999999999999999"], {}, ["--workers", "1 to 64"]),
    ([], {"QUIESCE_WORKERS": "eight"}, ["QUIESCE_WORKERS", "'eight'", "1 to 64"]),
    (["--poll-interval", "0"], {}, ["--poll-interval", "0.1"]),
    (["--poll-interval", "nan"], {}, ["--poll-interval", "0.1"]),
    (["--idle-interval", "inf"], {}, ["--idle-interval", "finite"]),
    (["--idle-interval", "soon"], {}, ["--idle-interval", "'soon'", "90s"]),
    (["--settle", "-1"], {}, ["--settle"]),
    ([], {"QUIESCE_SETTLE": "-1"}, ["QUIESCE_SETTLE", "0 seconds"]),
    (["--namespace", "Open_Stack"], {}, ["--namespace", "'Open_Stack'"]),
    ([], {"QUIESCE_NAMESPACE": "a,../b"}, ["QUIESCE_NAMESPACE", "'../b'"]),
    (["--namespace", "a", "--all-namespaces"], {}, ["--namespace", "--all-namespaces"]),
    (
        [],
        {"QUIESCE_NAMESPACE": "a", "QUIESCE_ALL_NAMESPACES": "1"},
        ["--namespace", "--all-namespaces"],
    ),
    ([], {"QUIESCE_ALL_NAMESPACES": "perhaps"}, ["QUIESCE_ALL_NAMESPACES", "'perhaps'"]),
    (["--log-format", "xml"], {}, ["--log-format", "text, json"]),
    (["--log-level", "loud"], {}, ["--log-level", "warning"]),
    (["--listen", "8080"], {}, ["--listen", "HOST:PORT"]),
    (["--listen", "::1:8080"], {}, ["--listen", "[IPV6]"]),
    (["--listen", "localhost:99999"], {}, ["--listen", "HOST:PORT"]),
    (["--watch-label-selector", "shard>3"], {}, ["--watch-label-selector", "'shard>3'", "KEY=VAL"]),
    ([], {"QUIESCE_WATCH_LABEL_SELECTOR": "=a"}, ["QUIESCE_WATCH_LABEL_SELECTOR", "'=a'"]),
    (["--lease", "A/b"], {}, ["--lease", "'A'"]),
    (["--lease", "a/b/c"], {}, ["--lease", "'a/b'"]),
    (["--lease", "x" * 57], {}, ["--lease", "NAMESPACE/NAME"]),
    (["--work", "3"], {}, ["--work"]),
    (["--nonsense"], {}, ["--nonsense"]),
]


@pytest.mark.parametrize(("argv", "environ", "words"), WRONG)
def test_a_wrong_value_gives_one_line_that_names_it(
    argv: list[str], environ: dict[str, str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["run", *argv], environ)
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert out == "" and err.count("\n") == 1
    assert all(word in err for word in words), err


def test_no_command_is_wrong_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([], {})
    assert ended.value.code == 2
    assert "quiesce --help" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--version"], {})
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"quiesce {__version__}\n"


def test_help_tells_defaults_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["run", "--help"], {})
    text = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "default 16; $QUIESCE_WORKERS" in text
    assert "default 10s; $QUIESCE_SETTLE" in text
    assert "default 0; $QUIESCE_MAX_MOVES" in text
    assert all(f"{code.value} {code.cause}" in text for code in Exit)
