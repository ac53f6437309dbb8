"""Places of which nobody can hold all."""

import pytest

from quiesce.ops.places import Places


@pytest.mark.finding("M10")
def test_an_owner_that_holds_none_always_enters() -> None:
    places = Places(4, 2)
    assert [places.enter("a") for _ in range(3)] == [True, True, False]
    assert [places.enter("b") for _ in range(3)] == [True, True, False]
    assert [places.enter("c") for _ in range(2)] == [True, False]
    places.leave("a")
    assert not places.enter("c"), "four are held"
    places.leave("a")
    assert places.enter("c")


def test_a_place_is_free_again_after_an_error() -> None:
    places = Places(1, 1)

    def fail() -> None:
        with places.held("a") as entered, places.held("a") as again:
            assert (entered, again) == (True, False)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert places.enter("a")
