"""Placement: resource providers, their inventories and what consumers hold on them."""

from dataclasses import dataclass, field

from tests.beds.sim.errors import ConflictError, NotFoundError
from tests.beds.sim.records import Allocation, Provider, Resources, User

DISABLED = "COMPUTE_STATUS_DISABLED"


@dataclass
class Placement:
    """Both indices hold the same allocations; only `_put` and `_drop` change them."""

    providers: dict[str, Provider] = field(default_factory=dict)
    by_provider: dict[str, dict[str, Allocation]] = field(default_factory=dict)
    by_consumer: dict[str, dict[str, Allocation]] = field(default_factory=dict)
    _used: dict[str, Resources] = field(default_factory=dict)

    def provider(self, identity: str) -> Provider:
        try:
            return self.providers[identity]
        except KeyError:
            raise NotFoundError(f"No resource provider with uuid {identity} found") from None

    def on(self, provider: str) -> dict[str, Allocation]:
        """Return what is held on a provider, by consumer."""
        return self.by_provider.get(provider, {})

    def of(self, consumer: str) -> dict[str, Allocation]:
        """Return what a consumer holds, by provider."""
        return self.by_consumer.get(consumer, {})

    def used(self, provider: str) -> Resources:
        have = self.providers[provider].inventories
        return {name: self._used.get(provider, {}).get(name, 0) for name in have}

    def fits(self, provider: str, wanted: Resources) -> bool:
        used = self.used(provider)
        have = self.providers[provider].inventories
        return all(
            name in have and used[name] + amount <= have[name] for name, amount in wanted.items()
        )

    def claim(self, consumer: str, provider: str, wanted: Resources, owner: User) -> bool:
        """Give a server what it wants on a provider; False if that does not fit."""
        if provider not in self.providers or not self.fits(provider, wanted):
            return False
        self._put(provider, Allocation(consumer, owner, dict(wanted)))
        return True

    def move(self, consumer: str, other: str) -> None:
        """Make another consumer the holder of all that one holds, as at the start of a
        migration.
        """
        for provider, held in list(self.of(consumer).items()):
            self._drop(provider, consumer)
            self._put(provider, Allocation(other, held.owner, held.resources))

    def release(self, consumer: str, provider: str | None = None) -> None:
        for where in list(self.of(consumer)):
            if provider in (None, where):
                self._drop(where, consumer)

    def delete_provider(self, identity: str) -> None:
        """Remove a provider; ConflictError while anything is held on it."""
        self.provider(identity)
        if self.on(identity):
            raise ConflictError(
                f"Unable to delete resource provider {identity}: Resource provider has allocations."
            )
        del self.providers[identity]

    def _put(self, provider: str, allocation: Allocation) -> None:
        self._drop(provider, allocation.consumer)
        self.by_provider.setdefault(provider, {})[allocation.consumer] = allocation
        self.by_consumer.setdefault(allocation.consumer, {})[provider] = allocation
        self._count(provider, allocation.resources, +1)

    def _drop(self, provider: str, consumer: str) -> None:
        held = self.by_provider.get(provider, {}).pop(consumer, None)
        if held is None:
            return
        del self.by_consumer[consumer][provider]
        if not self.by_consumer[consumer]:
            del self.by_consumer[consumer]
        self._count(provider, held.resources, -1)

    def _count(self, provider: str, resources: Resources, sign: int) -> None:
        used = self._used.setdefault(provider, {})
        for name, amount in resources.items():
            used[name] = used.get(name, 0) + sign * amount
        if provider in self.providers:
            self.providers[provider].generation += 1
