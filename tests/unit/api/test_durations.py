import pytest

from quiesce.api import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("1h0m5s", 3605)],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "1.5h", "5d", "five", "5s ", "٣s٣"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="write a number and a unit"):
        durations.seconds(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.6, "1m"), (90, "1m30s"), (3600, "1h"), (5400, "1h30m"), (90061, "25h1m1s")],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert durations.text(seconds) == text
    assert durations.seconds(text) == round(seconds)
