"""Flags of `kubectl quiesce`. Loads nothing slow: --help and completion have to be quick."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from quiesce import __version__
from quiesce.api import durations
from quiesce.plugin.exits import Exit

METHODS = ("Cold", "Live", "LiveThenCold")
POLICIES = ("Automatic", "Manual")
AFTER_DRAIN = ("Delete", "KeepDisabled")
WHILE_RUNNING = ("Wait", "Stop", "Delete")
ON_DELETE = ("Restore", "Leave")
SUSPENDED = ("Block", "Resume")
SHELLS = ("bash", "zsh", "fish")

_ABOUT = """\
Empties OpenStack compute hosts through ComputeNodeDrains, and shows what happens.

A drain is a desired state, not a job: while it exists, its host is kept empty and its
nova-compute disabled; when it is deleted (restore), the host is put back as it was found.
"""
_END = """\
NAME is the name of a drain, or that of its host. Everything here writes only fields and
annotations that you could write with kubectl, with your own rights: the role quiesce-viewer is
enough to read, quiesce-drain-editor to write.

exit codes:
"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=16)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and points to --help."""

    def error(self, message: str) -> NoReturn:
        self.exit(Exit.USAGE, f"error: {message} (see {self.prog} --help)\n")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Exits with 2 and one line on stderr for a wrong flag, with 0 after --help."""
    top = parser()
    flags = top.parse_args(argv)
    if flags.command in ("confirm", "revert") and bool(flags.servers) == flags.all:
        top.prog += f" {flags.command}"
        top.error("name servers, or give --all: one of the two")
    return flags


def parser() -> Parser:
    """Of everything. The namespace that it makes has `command`."""
    top = Parser(
        prog="kubectl quiesce",
        description=_ABOUT,
        epilog=_END + "\n".join(f"  {code.value:<4}{code.cause}" for code in Exit),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"kubectl-quiesce {__version__}")
    _add_cluster(top)
    commands = top.add_subparsers(metavar="COMMAND", dest="command", required=True)
    add = _adder(commands)
    for fill in (_drain, _plan, _status, _decide, _lifecycle, _words):
        fill(add)
    return top


_Add = Callable[..., Any]


def _adder(commands: Any) -> _Add:
    def add(name: str, text: str, more: str = "", *, cluster: bool = True) -> Any:
        made = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.{more and f' {more}'}",
            allow_abbrev=False,
        )
        if cluster:
            _add_cluster(made, default=argparse.SUPPRESS)
        return made

    return add


def _add_cluster(made: Any, default: str | None = None) -> None:
    """Before a command and after it: kubectl accepts both, and SUPPRESS keeps what came before."""
    group = made.add_argument_group("as in kubectl")
    for flags, name, text in (
        (("-n", "--namespace"), "NS", "namespace [default: that of the context]"),
        (("--context",), "NAME", "context of the kubeconfig"),
        (("--kubeconfig",), "FILE", "[default: $KUBECONFIG, ~/.kube/config]"),
    ):
        group.add_argument(*flags, metavar=name, help=text, default=default)
    group.add_argument(
        "--as", dest="user", metavar="USER", help="impersonate this user", default=default
    )


def _add_output(made: Any, *kinds: str) -> None:
    made.add_argument("-o", "--output", choices=kinds, help="for programs, instead of text")


def _add_wait(made: Any, default: str, what: str) -> None:
    made.add_argument(
        "--wait",
        type=_duration,
        default=durations.seconds(default),
        metavar="DURATION",
        help=f"how long to wait {what}; 0s: not at all [default {default}]",
    )


def _add_yes(made: Any) -> None:
    made.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _drain(add: _Add) -> None:
    made = add(
        "drain",
        "empty a host, and keep it empty",
        "Creates a ComputeNodeDrain. Undo it with: kubectl quiesce restore NAME",
    )
    made.add_argument("host", metavar="HOST", help="as in `openstack compute service list`")
    _add_spec(made)
    made.add_argument("--plan", action="store_true", help="mode: Plan: write nothing to OpenStack")
    made.add_argument(
        "--dry-run",
        choices=("client", "server"),
        help="print the drain and create nothing; server: with its defaults, checked there",
    )
    _add_output(made, "json", "yaml")
    _add_wait(made, "10s", "for the operator's first answer")


def _add_spec(made: Any) -> None:
    made.add_argument(
        "--method",
        choices=METHODS,
        required=True,
        help="Cold restarts running guests on another host; Live never does, and reports those "
        "that it cannot move; LiveThenCold restarts only those",
    )
    made.add_argument("--name", help="of the drain [default: the host's]")
    made.add_argument("--reason", help="shown in Nova beside the disabled service")
    made.add_argument("--parallel", type=int, metavar="N", help="moves at a time [default 4]")
    made.add_argument(
        "--confirm",
        choices=POLICIES,
        help="of cold migrations: Automatic once all checks pass [default], or Manual: each waits "
        "for `kubectl quiesce confirm`",
    )
    made.add_argument(
        "--suspended", choices=SUSPENDED, help="suspended servers: Block [default] or Resume"
    )
    made.add_argument(
        "--after-drain",
        choices=AFTER_DRAIN,
        help="the empty host's service in Nova: Delete [default], or KeepDisabled, as for a reboot",
    )
    made.add_argument(
        "--while-running",
        choices=WHILE_RUNNING,
        help="before that delete: Wait until nova-compute was stopped [default]; Stop it over SSH, "
        "which needs --keyring; or Delete all the same",
    )
    made.add_argument("--keyring", metavar="NAME", help="MigrationKeyring of the hosts' SSH keys")
    made.add_argument(
        "--secret", metavar="NAME", help="with the cloud's clouds.yaml [default openstack-clouds]"
    )
    made.add_argument("--cloud", metavar="NAME", help="in that clouds.yaml [default openstack]")
    made.add_argument(
        "--on-delete",
        choices=ON_DELETE,
        help="when the drain is deleted: Restore the host as it was found [default], or Leave it",
    )


def _plan(add: _Add) -> None:
    made = add(
        "plan",
        "show what a drain of a host would do, and why",
        "Changes nothing in OpenStack. The operator makes plans, and only for a drain: where the "
        "host has none, one with mode: Plan is created, and deleted again once the plan is shown.",
    )
    made.add_argument("host", metavar="HOST", help="as in `openstack compute service list`")
    made.add_argument("--method", choices=METHODS, help="as for drain [default LiveThenCold]")
    made.add_argument("--keep", action="store_true", help="keep the drain with mode: Plan")
    made.add_argument("--secret", metavar="NAME", help="as for drain")
    made.add_argument("--cloud", metavar="NAME", help="as for drain")
    _add_output(made, "json")
    _add_wait(made, "60s", "for the plan")


def _status(add: _Add) -> None:
    made = add(
        "status",
        "show drains: all in a table, or one in full",
        "With --watch and NAME it ends once the drain has reached what its spec asks for, or is "
        "deleted. Exit code 1: a drain is Stalled.",
    )
    made.add_argument("name", metavar="NAME", nargs="?")
    made.add_argument("-w", "--watch", action="store_true", help="as it changes")
    made.add_argument("-A", "--all-namespaces", action="store_true")
    _add_output(made, "json")


def _decide(add: _Add) -> None:
    for action, text, more in (
        (
            "confirm",
            "confirm moved servers that are held: the copy on the drained host is deleted",
            "Adds to spec.confirmation.decisions. A confirm of a server whose check fails, asks.",
        ),
        (
            "revert",
            "return moved servers that are held to the drained host",
            "Adds to spec.confirmation.decisions. WHAT A SERVER WROTE SINCE ITS MOVE IS LOST, so "
            "it asks.",
        ),
    ):
        made = add(action, text, more)
        made.add_argument("name", metavar="NAME")
        made.add_argument("servers", metavar="SERVER", nargs="*", help="names or IDs")
        made.add_argument(
            "--all",
            action="store_true",
            help="all that are listed as AwaitingDecision; those with a failing check only by name",
        )
        _add_yes(made)
        _add_wait(made, "15s", "for the operator's answer")


def _lifecycle(add: _Add) -> None:
    retry = add(
        "retry",
        "give every server of a drain a new set of tries, now",
        "Sets the annotation quiesce.dev/requestedAt. For each SERVER that is named, a decision to "
        "revert it is withdrawn as well, so that it is moved again.",
    )
    retry.add_argument("name", metavar="NAME")
    retry.add_argument("servers", metavar="SERVER", nargs="*", help="names or IDs")
    _add_wait(retry, "15s", "for the operator's answer")
    for action, text in (
        ("suspend", "write nothing more to OpenStack for a drain, until it is resumed"),
        ("resume", "let a suspended drain continue"),
    ):
        made = add(action, text, "Sets spec.suspend. Moves in flight continue in Nova.")
        made.add_argument("name", metavar="NAME")
        _add_wait(made, "15s", "for the operator's answer")
    restore = add(
        "restore",
        "restore a host: delete its drain",
        "Nothing new starts, moves in flight end, and the host is put back as it was found (or "
        "left as it is, with onDelete: Leave). Servers that were moved stay where they are. "
        "It asks.",
    )
    restore.add_argument("name", metavar="NAME")
    _add_yes(restore)
    _add_wait(restore, "5m", "until the host is restored")


def _words(add: _Add) -> None:
    explain = add(
        "explain",
        "say what a phase, reason or state means, and what to do",
        "Without a word: all of them. Needs no cluster.",
        cluster=False,
    )
    explain.add_argument("word", metavar="REASON", nargs="?")
    _add_output(explain, "json")
    completion = add(
        "completion",
        "print a completion script for a shell",
        "For kubectl-quiesce itself: source <(kubectl quiesce completion bash). For `kubectl "
        "quiesce`, kubectl's own completion runs kubectl_complete-quiesce, which is installed "
        "beside it.",
        cluster=False,
    )
    completion.add_argument("shell", choices=SHELLS)


def _duration(text: str) -> float:
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
