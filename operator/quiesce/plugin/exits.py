"""Exit codes of `kubectl quiesce`, and the errors that lead to them."""

from quiesce.exits import ExitCode


class Exit(ExitCode):
    """Of every command."""

    DONE = 0, "done"
    FAILED = 1, "it failed, or the operator has not answered in time; status, drain: one is Stalled"
    USAGE = 2, "a wrong flag or argument: nothing was sent"
    INTERRUPTED = 130, "ended by Ctrl-C"


class Failed(Exception):
    """It cannot be done. The text is for people: what is wrong, where, and what to do."""


class Misused(Exception):
    """A wrong flag or argument that only the command could find. The text says which."""
