"""How many random examples: the same 300 for `make test`, 50,000 new ones for `make nightly`."""

import os

from hypothesis import HealthCheck, settings

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
fuzzed = settings(
    deadline=None,
    database=None,
    derandomize=not NIGHTLY,
    max_examples=50_000 if NIGHTLY else 300,
    print_blob=NIGHTLY,
    suppress_health_check=list(HealthCheck),
)
