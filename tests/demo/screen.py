"""What the demo shows: short lines of its own, and kubectl's output as it comes."""

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence

BEGAN = time.monotonic()
COLOURED = sys.stdout.isatty() and "NO_COLOR" not in os.environ
STYLES = {"say": "1;36", "cnd": "32", "event": "33", "shell": "1"}
_printing = threading.Lock()


def styled(text: str, style: str) -> str:
    return f"\033[{STYLES[style]}m{text}\033[0m" if COLOURED else text


def put(text: str = "") -> None:
    with _printing:
        print(text, flush=True)


def say(text: str) -> None:
    """One line of narration."""
    put()
    put(styled(f"# [{time.monotonic() - BEGAN:3.0f} s] {text}", "say"))


def shell(*words: str) -> None:
    """The command that is about to run, as a person would type it."""
    put(styled(f"$ {shlex.join(words)}", "shell"))


class Stream:
    """A `kubectl … --watch`, whose marked lines appear while the demo continues."""

    def __init__(
        self,
        mark: str,
        environment: Mapping[str, str],
        *words: str,
        program: Sequence[str] = ("kubectl",),
    ) -> None:
        """`program`: what is run for the word `kubectl`."""
        shell("kubectl", *words)
        self._mark = mark
        self._process = subprocess.Popen(
            [*program, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | environment,
        )
        self._began = threading.Event()
        self._reader = threading.Thread(target=self._show, daemon=True)
        self._reader.start()

    def _show(self) -> None:
        before = ""
        for line in self._process.stdout or ():
            # Without the last column, which is the age.
            shown = line.rpartition(" ")[0] if self._mark == "cnd" else line
            if shown != before:  # else a write that no column shows
                put(f"{styled(f'{self._mark:>5} |', self._mark)} {line.rstrip()}")
            before = shown
            self._began.set()
        self._began.set()

    def wait(self, seconds: float) -> None:
        """Until it has shown a line, or has ended."""
        self._began.wait(seconds)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait()
        self._reader.join(timeout=5)
