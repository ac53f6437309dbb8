"""The `quiesce` command."""

import logging
import os
import sys
from collections.abc import Sequence

from quiesce.exits import Exit
from quiesce.settings import parse


def main(argv: Sequence[str] | None = None) -> int:
    """Runs it; returns the exit code (quiesce.exits)."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["credentials"]:
        from quiesce import credentials

        return credentials.main(words[1:], os.environ)
    settings = parse(words, os.environ)
    from quiesce.app import run

    code = run(settings)
    if code == Exit.LEASE_LOST:
        logging.shutdown()
        os._exit(code)  # at once: the interpreter would wait for requests under way
    return code


if __name__ == "__main__":
    sys.exit(main())
