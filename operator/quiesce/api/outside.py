"""The gate for text that comes from outside: of a host, a cloud, the cluster, or a person.

Whatever passes `cleaned` may go into a status, an event, a log line or a message: it is one line,
short, without anything that a terminal or an API server would take for more than text, and what
looks like a secret is masked. `redact` is the last part of it, for text of our own that may quote
something. Both take time in proportion to the length of the text, whatever it says.
"""

import re
import unicodedata

LINE = 300  # characters: the message of one thing that failed
_RAW = 4096  # characters that are looked at: the rest of a longer text is not worth the time
_PASSES = 4  # what is left after a cut may look like a secret of another kind
_REPLACED = "\ufffd"
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_LAST_OF_THE_BASIC_PLANE = "\uffff"

# Sequences that move a cursor, colour text or set a title (ECMA-48, 5.4 and 8.3).
_TERMINAL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]"
)

_NAME = (
    r"(?:passw(?:or)?d|passphrase|credential_?secret|private_?key|authorization|"
    r"(?:auth|access|[_-])token)"
)
_VALUE = r"""(?!…(?:[\s,;&}\])]|\Z))(?:b?"[^"]*"|b?'[^']*'|[^\s,;&}\])]+)"""
_SECRET_NAME = re.compile(_NAME, re.I)
_SECRETS = tuple(
    re.compile(pattern, re.I | re.S)
    for pattern in (
        r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)(?!…\Z).*?(?:-----END [A-Z ]*-----|\Z)",
        rf"({_NAME}\\*[\"']?\s*[:=]\s*(?:(?:bearer|basic)\s+)?){_VALUE}",
        rf"((?:\btoken=|[\"']token\\*[\"']\s*:\s*)){_VALUE}",
        r"(\bbearer\s+)[\w.~+/=-]{8,}",
        r"(://[^/\s:@]+:)[^/\s@]+(?=@)",  # user:password@host
        r"(\b)gAAAA[\w-]{20,}=*",  # a token of Keystone
        r"(\b)eyJ[\w-]{10,2000}+\.[\w-]{10,2000}(?:\.[\w-]*)?",  # a token of a service account
    )
)


def cleaned(text: str | bytes, limit: int = LINE) -> str:
    """One printable line of at most `limit` characters, without secrets.

    Bytes are read as UTF-8. What is no such text, a control or formatting character (of a
    terminal, of writing direction), or outside of Unicode's basic plane becomes U+FFFD; each run
    of white space one space. `…` at the end shows that something is missing.

    What has passed passes again unchanged: a value that is stored is compared with the next one.
    """
    if isinstance(text, bytes):
        text = text[: 4 * _RAW].decode("utf-8", "replace")
    found = _cleaned(text, limit)
    for _ in range(_PASSES):
        found, before = _cleaned(found, limit), found
        if found == before:
            break
    return found


def _cleaned(text: str, limit: int) -> str:
    # Masked before as well: a sequence may end with the first letter of what names a secret.
    raw = _TERMINAL.sub("", redact(bounded(text)))
    plain = " ".join("".join(_plain(each) for each in raw).split())
    masked = redact(plain)
    if len(masked) <= limit and len(text) <= _RAW:
        return masked
    return masked[: limit - 1].rstrip(" *") + "…"  # half a mask would be masked once more


def bounded(text: str) -> str:
    """The first 4096 characters. A word is not cut: half of a secret might not look like one."""
    if len(text) <= _RAW:
        return text
    head = text[:_RAW]
    whole = head.rstrip() if text[_RAW].isspace() else head.rpartition(" ")[0]
    return whole or head


def redact(text: str) -> str:
    """The text with what looks like a secret masked."""
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def names_a_secret(key: str) -> bool:
    """Whether the value of something that is called so is not to be shown."""
    return bool(_SECRET_NAME.search(key))


def _plain(each: str) -> str:
    if each.isspace():
        return " "
    if each > _LAST_OF_THE_BASIC_PLANE or unicodedata.category(each) in _UNPRINTABLE:
        return _REPLACED
    return each
