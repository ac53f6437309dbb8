"""The gate to the API server: every string of a status or an event passes it, and no other way.

What a cloud, a host or a person wrote may stand in any of them. So each is one bounded line without
control characters, without what looks like a secret, and within Unicode's basic plane: the client
sends a status as YAML with JSON's escapes, and the API server refuses the surrogates of all others.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from quiesce.api.outside import cleaned

TEXT_LENGTH = 1024
"""Characters of one string: as long as a message may be by the CRDs."""
_SHORT = 128
_RESTORED = frozenset({"foundReason"})
"""What another user wrote in Nova, and is put back there as it was: `never-6` in docs/safety.md."""
_NOT_BASIC = re.compile("[\ud800-\udfff\U00010000-\U0010ffff]")


def outgoing_text(text: str) -> str:
    """One string as it is sent; the same again for what has passed already."""
    return _short(text) if len(text) <= _SHORT else cleaned(text, TEXT_LENGTH)


@lru_cache(maxsize=8192)
def _short(text: str) -> str:
    """A status names the same hosts at every reconciliation, thousands in a large cloud."""
    return cleaned(text, TEXT_LENGTH)


def outgoing_status(status: Mapping[str, Any]) -> dict[str, Any]:
    """A whole status as JSON, with every string in it as it is sent."""
    sent: dict[str, Any] = _outgoing(json.loads(json.dumps(status)), "")
    return sent


def _outgoing(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _outgoing(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_outgoing(each, key) for each in value]
    if not isinstance(value, str):
        return value
    return _NOT_BASIC.sub("\ufffd", value) if key in _RESTORED else outgoing_text(value)
