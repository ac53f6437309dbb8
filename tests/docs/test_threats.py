"""Every threat of docs/threat-model.md has a test; docs/threat-tests.md lists them as they are."""

import pytest
from tools import threats

PAGE = threats.ROOT / "docs" / "threat-tests.md"
IDS = [id_ for id_, _ in threats.findings()]
TESTS = threats.tests()


def test_every_finding_of_the_review_is_a_threat_once() -> None:
    numbers = {"C": 1, "H": 7, "M": 13, "L": 12, "S": 9}
    assert [f"{kind}{n + 1}" for kind, count in numbers.items() for n in range(count)] == IDS


@pytest.mark.parametrize("id_", IDS)
def test_every_threat_has_a_test(id_: str) -> None:
    assert TESTS.get(id_)


def test_every_test_is_of_a_threat_on_the_page() -> None:
    assert set(TESTS) - set(IDS) == set()


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == threats.page() + "\n", (
        "run: python -m tools.threats > docs/threat-tests.md"
    )
