"""Who this process is, for the Lease, and for the logs of those whom it calls."""

import re
import socket
import uuid

from quiesce import __version__


def _identity() -> str:
    """In a pod the host's name is the pod's; two processes of one machine differ by the rest."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:200]
    return f"{host}_{uuid.uuid4().hex[:8]}"


IDENTITY = _identity()
"""New with every start: a process does not take itself for its predecessor."""

USER_AGENT = f"quiesce/{__version__} ({IDENTITY})"
