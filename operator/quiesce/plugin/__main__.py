"""`kubectl quiesce`, as the program kubectl-quiesce that kubectl finds on the PATH."""

import os
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from quiesce.api.outside import cleaned
from quiesce.plugin.arguments import parse
from quiesce.plugin.exits import Exit, Failed, Misused
from quiesce.plugin.terminal import screen

if TYPE_CHECKING:
    from quiesce.plugin.session import Session

_LONGEST = 2000  # characters of an error
_READS = ("status",)
_USER = re.compile(r'User "([^"]+)"')


def main(argv: Sequence[str] | None = None) -> int:
    """Runs it; returns the exit code (quiesce.plugin.exits)."""
    flags = parse(argv)
    try:
        return _run(flags)
    except Misused as error:
        return _fail(str(error), Exit.USAGE)
    except Failed as error:
        return _fail(str(error), Exit.FAILED)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # `| head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE


def _run(flags: Namespace) -> Exit:
    if flags.command in ("explain", "completion"):
        from quiesce.plugin.commands import words

        without: Callable[..., Exit] = getattr(words, flags.command)
        return without(screen(), flags)
    return _with_cluster(flags)


def _with_cluster(flags: Namespace) -> Exit:
    from quiesce.kube.errors import KubeError, KubeForbidden
    from quiesce.plugin.cluster import connect
    from quiesce.plugin.session import Session

    cluster = connect(flags.kubeconfig, flags.context, flags.namespace, flags.user)
    session = Session(cluster, screen())
    try:
        return _command(flags.command)(session, flags)
    except KubeForbidden as error:
        raise Failed(_forbidden(session, flags, str(error))) from error
    except KubeError as error:
        raise Failed(str(error)) from error


def _command(name: str) -> "Callable[[Session, Namespace], Exit]":
    from quiesce.plugin.commands import drain, status, writes

    commands: dict[str, Callable[[Session, Namespace], Exit]] = {
        "drain": drain.drain,
        "plan": drain.plan,
        "status": status.status,
        "confirm": writes.confirm,
        "revert": writes.revert,
        "retry": writes.retry,
        "suspend": writes.suspend,
        "resume": writes.resume,
        "restore": writes.restore,
    }
    return commands[name]


def _forbidden(session: "Session", flags: Namespace, message: str) -> str:
    from quiesce.plugin.cluster import binding, role_for

    if message.startswith("HTTP 401"):
        return f"the API server does not know you: log in again ({message})"
    everywhere = getattr(flags, "all_namespaces", False)
    role = role_for(flags.command not in _READS)
    user = _USER.search(message)
    command = binding(None if everywhere else session.namespace, role, user and user[1])
    where = "in all namespaces" if everywhere else f"in namespace {session.namespace}"
    return (
        f"you lack rights: `{flags.command}` needs the role {role} {where}. An administrator gives "
        f"it (docs/install.md says what that amounts to): {command} ({message})"
    )


def _fail(message: str, code: Exit) -> Exit:
    print(f"error: {cleaned(message, _LONGEST)}", file=sys.stderr)
    return code


def console() -> NoReturn:
    """The program. Threads may still wait for the API server then: they end with the process, for
    Python would wait for them, or abort where they are in code of the client that is not Python.
    """
    try:
        code = main()
    except SystemExit as error:  # argparse
        code = error.code if isinstance(error.code, int) else Exit.FAILED
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    console()
