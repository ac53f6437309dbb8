"""`make audit` never takes "not looked up" for "nothing found"."""

from typing import Any

import pytest
from tools.audit import CLEAN, UNKNOWN, VULNERABLE, verdict

GOOD = {"name": "urllib3", "version": "2.8.0", "vulns": []}
BAD = {
    "name": "kopf",
    "version": "1.45.2",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.45.3"]}],
}
SKIPPED = {"name": "pyyaml", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.finding("L10")
@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([GOOD], CLEAN, "1 packages, no known vulnerability"),
        ([GOOD, BAD], VULNERABLE, "kopf 1.45.2: PYSEC-2026-1, fixed in 1.45.3"),
        ([GOOD, SKIPPED], UNKNOWN, "not audited: 1 of 2 packages (pyyaml)"),
        ([BAD, SKIPPED], VULNERABLE, "kopf 1.45.2: PYSEC-2026-1"),
        ([], UNKNOWN, "not audited"),
    ],
)
def test_the_verdict_is_of_what_was_looked_up(
    packages: list[dict[str, Any]], code: int, said: str
) -> None:
    found, lines = verdict({"dependencies": packages})
    assert found == code
    assert lines[0].startswith(said)
