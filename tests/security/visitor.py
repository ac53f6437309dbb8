"""One visit by the real code, in a process of its own, so that its memory and time are its own.

`python -m tests.security.visitor PORT SECONDS KEY` logs in and runs one script; prints as JSON how
it ended: `reason` of the error, its `message`, `grown` (KiB of memory beyond what the process had
before) and `seconds`.
"""

import json
import re
import sys
import time
from pathlib import Path

import paramiko

from quiesce.ssh.errors import SSHError
from quiesce.ssh.keys import read_public
from quiesce.ssh.login import Login
from quiesce.ssh.session import Target, connect


def peak() -> int:
    """KiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def main() -> None:
    port, seconds, pinned = int(sys.argv[1]), float(sys.argv[2]), read_public(sys.argv[3])
    login = Login("root", paramiko.ECDSAKey.generate())
    before, start, reason, message = peak(), time.monotonic(), "", ""
    try:
        with connect(
            Target("cmp1", "127.0.0.1", port), login, [pinned], frozenset(), seconds
        ) as session:
            done = session.run_script("true")
            message = f"{done.code} {len(done.output)} {len(done.errors)}"
    except SSHError as error:
        reason, message = error.reason, str(error)
    found = {"reason": reason, "message": message, "grown": peak() - before}
    print(json.dumps({**found, "seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main()
