"""PURE. What an operator watches, as it stands on its Lease for all others to read."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Self

from quiesce.api.selector import Selector


@dataclass(frozen=True, slots=True)
class Scope:
    """`namespaces` None: all of them."""

    namespaces: frozenset[str] | None = None
    selector: Selector = field(default_factory=Selector)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """None: it is not as `str` writes it, so nothing is known."""
        try:
            found: Any = json.loads(text)
            names = found["namespaces"]
            if names is not None and not all(isinstance(name, str) for name in names):
                return None
            selector = Selector.parse(found["selector"])
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return None
        return cls(None if names is None else frozenset(names), selector)

    def __str__(self) -> str:
        names = None if self.namespaces is None else sorted(self.namespaces)
        return json.dumps({"namespaces": names, "selector": str(self.selector)})

    def overlaps(self, other: Self) -> bool:
        """Whether there can be a resource that both watch."""
        one, two = self.namespaces, other.namespaces
        together = one is None or two is None or bool(one & two)
        return together and not self.selector.excludes(other.selector)

    @property
    def lease_name(self) -> str:
        """The same for all operators with this scope, and for no others."""
        return f"quiesce-{hashlib.sha256(str(self).encode()).hexdigest()[:10]}"

    def __format__(self, _: str) -> str:
        """For people."""
        where = "all namespaces" if self.namespaces is None else ", ".join(sorted(self.namespaces))
        return f"{where}, selector {self.selector}" if self.selector else where
