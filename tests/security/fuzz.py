"""How many examples: the same few hundred for `make test`, 50,000 new ones for `make nightly`.

These come in rounds, because Hypothesis remembers every example of a run: 50,000 in one took 8 GiB.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
ROUNDS = 50 if _NIGHTLY else 1
FUZZ = settings(
    deadline=None,
    database=None,
    max_examples=1000 if _NIGHTLY else 300,
    derandomize=not _NIGHTLY,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
"""Decorates a property."""

ODD = ("", "\x00", "\x1b[2J", "\u202e", "😀", "²", "../../x", "a/b?c#d", "%2e%2e", "{0.x}", "%(a)s")
"""Texts that have broken programs before."""

texts = st.one_of(st.text(max_size=40), st.sampled_from(ODD), st.text(alphabet="0123456789-:TZ."))
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.integers(min_value=10**300, max_value=10**301),
        texts,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
"""Whatever JSON can say."""
