"""A short reference for an unexpected error: the same in the resource's status and in the log."""

import hashlib
import traceback
from pathlib import PurePath

_PACKAGE = "quiesce"


def reference(error: BaseException) -> str:
    """8 hexadecimal digits, of the error's type and of our own line that it came through last.

    They stay the same while the same error repeats, whatever its text, so that a status that has
    them does not change either.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if _PACKAGE in PurePath(frame.filename).parts]
    where = [f"{frame.name}:{frame.lineno}" for frame in (ours or frames)[-1:]]
    text = "/".join([type(error).__qualname__, *where])
    return hashlib.sha256(text.encode()).hexdigest()[:8]
