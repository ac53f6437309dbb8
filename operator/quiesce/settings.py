"""Flags and environment variables -> Settings. Every flag has a variable; the flag wins.

`quiesce run` reads no `OS_*` variable: clouds and their credentials come from Secrets alone.
"""

import argparse
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, NoReturn

from quiesce import __version__
from quiesce.api import durations
from quiesce.api.selector import Selector
from quiesce.exits import Exit

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LEASE = re.compile(r"[a-z0-9]([-a-z0-9]{0,54}[a-z0-9])?")
"""Short enough for the name of a finalizer, `shard.NAME`: 63 characters."""
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Listen(NamedTuple):
    """Where the health server listens; an empty host means every address of the machine."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


LOOPBACK = Listen("127.0.0.1", 8080)


class LeaseName(NamedTuple):
    """Empty: as derived from what is watched, and from where the operator runs."""

    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


DERIVED = LeaseName()


@dataclass(frozen=True)
class Settings:
    """How one operator process runs. Times are in seconds."""

    namespaces: tuple[str, ...] = ()
    """Empty: all of them with `all_namespaces`, else the one that the kube configuration names."""
    all_namespaces: bool = False
    selector: Selector = field(default_factory=Selector)
    """Which resources of these namespaces; everything where it is empty."""
    context: str | None = None
    """A context of the kubeconfig; None: in-cluster if possible, else the current context."""
    workers: int = 16
    poll_interval: float = 2.0
    idle_interval: float = 15.0
    max_moves: int = 0
    """Moves in flight for the whole operator; 0: no limit."""
    max_arrivals: int = 0
    """Moves on their way to one destination; 0: no limit."""
    settle: float = 10.0
    visit_timeout: float = 40.0
    """Of a keyring's visit to a host, without the time for the paths that are checked in it."""
    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    listen: Listen | None = LOOPBACK
    lease: LeaseName | None = DERIVED
    """None: no leader is elected; nothing keeps a second process from working as well."""


@dataclass(frozen=True)
class _Option:
    flag: str
    metavar: str
    parse: Callable[[str], Any]
    help: str
    group: str
    field: str = ""
    """Of Settings, where it is not the flag's own name."""

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")

    @property
    def variable(self) -> str:
        return f"QUIESCE_{self.name.upper()}"


def _namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ValueError(
            f"{text!r} is no namespace: use up to 63 lower-case letters, digits and '-'"
        )
    return text


def _namespaces(text: str) -> tuple[str, ...]:
    return tuple(_namespace(part.strip()) for part in text.split(",") if part.strip())


def _truth(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() in _TRUE


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _duration(least: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = durations.seconds(text)
        if not math.isfinite(value) or value < least:
            raise ValueError(f"{text!r} is not a finite duration of {least:g} seconds or more")
        return value

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in words:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}")
        return text.lower()

    return parse


def _listen(text: str) -> Listen | None:
    if text.lower() == "none":
        return None
    host, colon, port = text.rpartition(":")
    if (
        not colon
        or not port.isdecimal()
        or int(port) > 65535
        or (":" in host and not host.startswith("["))
    ):
        raise ValueError(f"{text!r} is not HOST:PORT, [IPV6]:PORT, :PORT or none")
    return Listen(host.strip("[]"), int(port))


def _lease(text: str) -> LeaseName | None:
    if text.lower() == "none":
        return None
    namespace, slash, name = text.rpartition("/")
    if slash:
        _namespace(namespace)
    if not _LEASE.fullmatch(name):
        raise ValueError(f"{text!r} is not NAME, NAMESPACE/NAME or none")
    return LeaseName(namespace, name)


_WATCH, _PACE, _OUTPUT = "what to watch", "pace and limits", "logs and metrics"
_OPTIONS = (
    _Option(
        "--namespace",
        "NS",
        _namespaces,
        "watch namespace NS; may be repeated, or NS,NS (default without --all-namespaces: the "
        "pod's own namespace; outside a cluster that of the kubeconfig's context)",
        _WATCH,
        field="namespaces",
    ),
    _Option(
        "--all-namespaces",
        "",
        _truth,
        "watch all namespaces; needs permissions in the whole cluster",
        _WATCH,
    ),
    _Option(
        "--watch-label-selector",
        "SELECTOR",
        Selector.parse,
        "work on resources with these labels only, as kubectl get -l takes them: other operators "
        "work on the others",
        _WATCH,
        field="selector",
    ),
    _Option(
        "--lease",
        "[NS/]NAME",
        _lease,
        "the Lease that one process at a time holds, which alone works; none: without, for tests "
        "only (default: its name is derived from what is watched; in a pod, in its own namespace, "
        "else in the first one watched)",
        _WATCH,
    ),
    _Option(
        "--context",
        "NAME",
        str,
        "use this context of the kubeconfig, even inside a cluster",
        _WATCH,
    ),
    _Option(
        "--workers", "N", _number(1, 64), "resources of one kind reconciled at the same time", _PACE
    ),
    _Option(
        "--poll-interval",
        "DURATION",
        _duration(0.1),
        "how often to reconcile a host with moves in flight",
        _PACE,
    ),
    _Option(
        "--idle-interval",
        "DURATION",
        _duration(0.1),
        "how often to reconcile a host at rest",
        _PACE,
    ),
    _Option(
        "--max-moves",
        "N",
        _number(0, 100_000),
        "moves in flight for the whole operator at most; 0: no limit but that of each drain",
        _PACE,
    ),
    _Option(
        "--max-arrivals",
        "N",
        _number(0, 100_000),
        "moves on their way to one destination at most, of all drains of the operator; 0: no limit",
        _PACE,
    ),
    _Option(
        "--settle",
        "DURATION",
        _duration(0),
        "time between the two reads that prove a host empty; less than 10s weakens the proof: for "
        "tests only",
        _PACE,
    ),
    _Option(
        "--visit-timeout",
        "DURATION",
        _duration(1),
        "how long a keyring's visit to a host over SSH may take, besides 3s for each path that it "
        "checks",
        _PACE,
    ),
    _Option("--log-format", "FORMAT", _one_of("text", "json"), "text or json", _OUTPUT),
    _Option(
        "--log-level",
        "LEVEL",
        _one_of("debug", "info", "warning", "error"),
        "debug, info, warning or error",
        _OUTPUT,
    ),
    _Option(
        "--listen",
        "HOST:PORT",
        _listen,
        "serve /healthz, /readyz and /metrics there, open to anyone who can connect; :PORT: every "
        "address of the machine; none: off",
        _OUTPUT,
    ),
)

_EPILOG = """\
A DURATION is a number of seconds (2, 0.5), or like 90s, 15m, 1h30m.

The API server is found as kubectl finds it: in a pod by its service account, else by
KUBECONFIG (files separated by colons), else by ~/.kube/config. Variables of OpenStack
(OS_*) are not read: each drain names the Secret with the credentials of its cloud.

exit codes:
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and points to --help."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parse(argv: Sequence[str], environ: Mapping[str, str]) -> Settings:
    """Exits with 2 and one line on stderr for a wrong value, with 0 after --help and --version."""
    top, run = _parsers()
    flags = vars(top.parse_args(argv))
    variables = {
        option.name: _from_variable(run, option, text)
        for option in _OPTIONS
        if option.name not in flags and (text := environ.get(option.variable, "").strip())
    }
    _settle_scope(run, flags, variables)
    fields = {option.name: option.field or option.name for option in _OPTIONS}
    given = {
        fields[name]: value for name, value in {**variables, **flags}.items() if name in fields
    }
    given["namespaces"] = tuple(dict.fromkeys(given.get("namespaces", ())))
    return Settings(**given)


def _settle_scope(run: Parser, flags: dict[str, Any], variables: dict[str, Any]) -> None:
    """One namespace, several or all: a flag for the one overrides the other's variable."""
    for one, other in (("namespace", "all_namespaces"), ("all_namespaces", "namespace")):
        if flags.get(one):
            variables.pop(other, None)
    given = {**variables, **flags}
    if given.get("namespace") and given.get("all_namespaces"):
        run.error("--namespace and --all-namespaces (or their variables) are mutually exclusive")


def _from_variable(run: Parser, option: _Option, text: str) -> Any:
    try:
        return option.parse(text)
    except ValueError as error:
        run.error(f"variable {option.variable}: {error}")


def _parsers() -> tuple[Parser, Parser]:
    top = Parser(
        prog="quiesce",
        description="Kubernetes operator that empties OpenStack compute nodes "
        "and keeps them drained.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"quiesce {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser(  # has a parser of its own: quiesce.credentials
        "credentials", help="store one cloud of your clouds.yaml in a Secret", add_help=False
    )
    run = commands.add_parser(
        "run",
        help="run the operator in the foreground",
        description="Runs the operator in the foreground until SIGTERM or SIGINT.",
        epilog=_EPILOG + "\n".join(f"  {code.value}  {code.cause}" for code in Exit),
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups: dict[str, Any] = {}
    for option in _OPTIONS:
        if option.group not in groups:
            groups[option.group] = run.add_argument_group(option.group)
        _add(groups[option.group], option)
    return top, run


def _add(group: Any, option: _Option) -> None:
    default = _shown(getattr(Settings(), option.field or option.name))
    text = f"{option.help} [{default}${option.variable}]"
    if option.parse is _truth:
        group.add_argument(option.flag, action="store_true", default=argparse.SUPPRESS, help=text)
        return
    action = "extend" if option.parse is _namespaces else "store"
    kind = _for_argparse(option.parse)
    group.add_argument(
        option.flag,
        action=action,
        type=kind,
        metavar=option.metavar,
        default=argparse.SUPPRESS,
        help=text,
    )


def _shown(default: Any) -> str:
    if default is None or default is False or default in ((), DERIVED, Selector()):
        return ""
    return f"default {default:g}s; " if isinstance(default, float) else f"default {default}; "


def _for_argparse(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def typed(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:  # argparse would hide the text of a ValueError
            raise argparse.ArgumentTypeError(str(error)) from error

    return typed
