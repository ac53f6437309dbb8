"""How many examples: a few hundred for `make test`, 50,000 new ones for `make nightly`."""

import os

from hypothesis import HealthCheck, settings

COMMON = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile("standard", COMMON, max_examples=300, derandomize=True)
settings.register_profile("nightly", COMMON, max_examples=50_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "standard"))
