"""What comes from outside is one short printable line without secrets, whatever it was."""

import time
import timeit
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.api.outside import LINE, bounded, cleaned, redact

HOSTILE = [
    "x-" * 20_000,
    "eyJ-" * 10_000,
    "-eyJ" * 10_000,
    "://a:" * 8_000,
    "://" + "a" * 40_000,
    'password="' * 4_000,
    "password" + "\\" * 40_000,
    "password " * 4_000,
    "password" + " " * 40_000,
    "bearer" + " " * 40_000,
    "bearer " * 6_000,
    "-----BEGIN " * 4_000,
    "-----BEGIN PRIVATE KEY-----" + "-----END A" * 4_000,
    "\x1b]" * 20_000,
    "\x1b[0" * 14_000,
    "token=" * 7_000,
]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("No space left on device", "No space left on device"),
        (b"scp: \xff\xfe bad", "scp: \ufffd\ufffd bad"),
        ("one\r\ntwo\x0bthree\x85four\u2028five\tsix", "one two three four five six"),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07and on", "red and on"),
        ("\x1b]0;no end", "0;no end"),
        ("null\x00bell\x07", "null\ufffdbell\ufffd"),
        ("right\u202eto left\u2066", "right\ufffdto left\ufffd"),
        ("zero\u200bwidth\ufeff", "zero\ufffdwidth\ufffd"),
        ("lone \ud83d surrogate, \U0001f600", "lone \ufffd surrogate, \ufffd"),
        ("  spaces   between  ", "spaces between"),
        ("Größe 名前", "Größe 名前"),
        ("x-auth-token: abcdef", "x-auth-token: ***"),
        ("pass\nword=abc password=\x00abc", "pass word=abc password=***"),
        ("http://proxy:hunter2@127.0.0.1:1/v3", "http://proxy:***@127.0.0.1:1/v3"),
        ("\x1bpassword=hunter2 \x1b[password=hunter2", "assword=*** assword=***"),
        ("", ""),
    ],
)
def test_a_text_is_one_printable_line(said: str | bytes, shown: str) -> None:
    assert cleaned(said) == shown


def test_what_is_cut_shows_it() -> None:
    assert cleaned("word " * 100, limit=11) == "word word…"
    assert cleaned("w" * 300) == "w" * 300
    assert cleaned("w" * 301) == "w" * 299 + "…"


def test_half_of_a_secret_is_never_shown() -> None:
    for start in range(4060, 4100):
        assert "hunter" not in cleaned("a " * (start // 2) + "http://me:hunter2@host", limit=9000)


@given(st.text() | st.binary(), st.integers(1, 600))
def test_any_text(said: str | bytes, limit: int) -> None:
    shown = cleaned(said, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert all(each <= "\uffff" for each in shown)
    assert not {unicodedata.category(each) for each in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert cleaned(shown, limit) == shown


@pytest.mark.parametrize("text", HOSTILE)
def test_time_grows_with_the_length_and_no_faster(text: str) -> None:
    """Four times the text, in at most eight times the time. (Quadratic: sixteen times.) The time of
    this thread on a processor: other programs do not count.
    """

    def seconds(said: str) -> float:
        times = timeit.repeat(lambda: redact(said), timer=time.thread_time, number=1, repeat=5)
        return min(times)

    assert seconds(text) < 8 * max(seconds(text[: len(text) // 4]), 2e-3)
    assert len(bounded(text)) <= 4096
    assert len(cleaned(text)) <= LINE
