"""Places of which nobody can hold all."""

import pytest

from quiesce.ops.shares import Shares


@pytest.mark.finding("M10")
def test_an_owner_that_holds_none_always_enters() -> None:
    shares = Shares(4, 2)
    assert [shares.enter("a") for _ in range(3)] == [True, True, False]
    assert [shares.enter("b") for _ in range(3)] == [True, True, False]
    assert [shares.enter("c") for _ in range(2)] == [True, False]
    shares.leave("a")
    assert not shares.enter("c"), "four are held"
    shares.leave("a")
    assert shares.enter("c")


def test_a_place_is_free_again_after_an_error() -> None:
    shares = Shares(1, 1)

    def fail() -> None:
        with shares.held("a") as entered, shares.held("a") as again:
            assert (entered, again) == (True, False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert shares.enter("a")
