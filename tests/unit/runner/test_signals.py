"""What the runner starts can be interrupted, also where a shell has started the runner in the
background.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
RUNNER = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background
from tests.runner.__main__ import heed_signals
heed_signals()
shown = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
subprocess.run([sys.executable, "-c", shown], check=True)
"""


def test_tests_heed_an_interrupt_although_the_shell_has_it_ignored() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUNNER], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "True"
