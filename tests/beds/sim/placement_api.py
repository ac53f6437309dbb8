"""Placement over HTTP: providers, inventories, usages, traits, allocations and candidates."""

from dataclasses import dataclass
from typing import Any

from tests.beds.sim.errors import BadRequestError, ForbiddenError
from tests.beds.sim.identity_api import Identity
from tests.beds.sim.records import Provider, Resources
from tests.beds.sim.state import State
from tests.beds.sim.web import Handler, Request, Response, Router

PREFIX = "/placement"


@dataclass
class PlacementApi:
    state: State
    identity: Identity

    def router(self) -> Router:
        router = Router()
        router.add("GET", "/", self._versions)
        for method, route, handler in (
            ("GET", "/resource_providers", self._list),
            ("GET", "/resource_providers/{id}", self._show),
            ("DELETE", "/resource_providers/{id}", self._delete),
            ("GET", "/resource_providers/{id}/inventories", self._inventories),
            ("GET", "/resource_providers/{id}/usages", self._usages),
            ("GET", "/resource_providers/{id}/traits", self._traits),
            ("GET", "/resource_providers/{id}/aggregates", self._aggregates),
            ("GET", "/resource_providers/{id}/allocations", self._held_on),
            ("GET", "/allocations/{id}", self._held_by),
            ("DELETE", "/allocations/{id}", self._release),
            ("GET", "/allocation_candidates", self._candidates),
        ):
            router.add(method, route, self._for_admins(handler))
        return router

    def _for_admins(self, handler: Handler) -> Handler:
        def guarded(request: Request) -> Response:
            if not self.identity.user_of(request).is_admin:
                raise ForbiddenError("Access was denied to this resource.")
            return handler(request)

        return guarded

    def _versions(self, request: Request) -> Response:
        version = {
            "id": "v1.0",
            "max_version": "1.39",
            "min_version": "1.0",
            "status": "CURRENT",
            "links": [{"rel": "self", "href": ""}],
        }
        return Response(200, {"versions": [version]})

    def _provider(self, request: Request) -> Provider:
        return self.state.placement.provider(request.names[0])

    def _view(self, provider: Provider) -> dict[str, Any]:
        here = f"{PREFIX}/resource_providers/{provider.id}"
        kinds = ("inventories", "usages", "aggregates", "traits", "allocations")
        links = [
            {"rel": "self", "href": here},
            *({"rel": kind, "href": f"{here}/{kind}"} for kind in kinds),
        ]
        return {
            "uuid": provider.id,
            "name": provider.name,
            "generation": provider.generation,
            "root_provider_uuid": provider.id,
            "parent_provider_uuid": None,
            "links": links,
        }

    def _list(self, request: Request) -> Response:
        known = {"name", "uuid", "member_of", "resources", "in_tree", "required"}
        for name, _ in request.query:
            if name not in known:
                raise BadRequestError(
                    "Invalid query string parameters: Additional properties are not allowed "
                    f"({name!r} was unexpected)"
                )
        found = [
            provider
            for provider in self.state.placement.providers.values()
            if request.one("name") in (None, provider.name)
            and request.one("uuid") in (None, provider.id)
            and request.one("in_tree") in (None, provider.id)
        ]
        return Response(200, {"resource_providers": [self._view(provider) for provider in found]})

    def _show(self, request: Request) -> Response:
        return Response(200, self._view(self._provider(request)))

    def _delete(self, request: Request) -> Response:
        self.state.placement.delete_provider(request.names[0])
        return Response(204)

    def _inventories(self, request: Request) -> Response:
        provider = self._provider(request)
        inventories = {
            name: {
                "total": total,
                "reserved": 0,
                "min_unit": 1,
                "max_unit": total,
                "step_size": 1,
                "allocation_ratio": 1.0,
            }
            for name, total in provider.inventories.items()
        }
        body = {"inventories": inventories, "resource_provider_generation": provider.generation}
        return Response(200, body)

    def _usages(self, request: Request) -> Response:
        provider = self._provider(request)
        used = self.state.placement.used(provider.id)
        return Response(200, {"usages": used, "resource_provider_generation": provider.generation})

    def _traits(self, request: Request) -> Response:
        provider = self._provider(request)
        body = {
            "traits": sorted(provider.traits),
            "resource_provider_generation": provider.generation,
        }
        return Response(200, body)

    def _aggregates(self, request: Request) -> Response:
        provider = self._provider(request)
        body = {
            "aggregates": sorted(provider.aggregates),
            "resource_provider_generation": provider.generation,
        }
        return Response(200, body)

    def _held_on(self, request: Request) -> Response:
        provider = self._provider(request)
        held = {
            consumer: {"resources": allocation.resources, "consumer_generation": 1}
            for consumer, allocation in self.state.placement.on(provider.id).items()
        }
        return Response(
            200, {"allocations": held, "resource_provider_generation": provider.generation}
        )

    def _held_by(self, request: Request) -> Response:
        held = self.state.placement.of(request.names[0])
        allocations = {
            where: {"resources": allocation.resources, "generation": self._generation(where)}
            for where, allocation in held.items()
        }
        body: dict[str, Any] = {"allocations": allocations}
        for allocation in held.values():
            body |= {
                "consumer_generation": 1,
                "project_id": allocation.owner.project.id,
                "user_id": allocation.owner.id,
                "consumer_type": "unknown",  # Nova does not say
            }
        return Response(200, body)

    def _generation(self, provider: str) -> int:
        found = self.state.placement.providers.get(provider)
        return found.generation if found else 0

    def _release(self, request: Request) -> Response:
        self.state.placement.release(request.names[0])
        return Response(204)

    def _candidates(self, request: Request) -> Response:
        wanted = _resources(request.one("resources") or "")
        forbidden, required = _traits(request)
        limit = int(request.one("limit") or 1000)
        found = [
            provider
            for provider in self.state.placement.providers.values()
            if self.state.placement.fits(provider.id, wanted)
            and not provider.traits & forbidden
            and required <= provider.traits
            and request.one("in_tree") in (None, provider.id)
        ][:limit]
        requests = [
            {"allocations": {provider.id: {"resources": wanted}}, "mappings": {"": [provider.id]}}
            for provider in found
        ]
        summaries = {provider.id: self._summary(provider) for provider in found}
        return Response(200, {"allocation_requests": requests, "provider_summaries": summaries})

    def _summary(self, provider: Provider) -> dict[str, Any]:
        used = self.state.placement.used(provider.id)
        resources = {
            name: {"capacity": total, "used": used[name]}
            for name, total in provider.inventories.items()
        }
        return {
            "resources": resources,
            "traits": sorted(provider.traits),
            "parent_provider_uuid": None,
            "root_provider_uuid": provider.id,
        }


def _resources(text: str) -> Resources:
    """Return the amounts of `VCPU:1,MEMORY_MB:64`."""
    amounts: Resources = {}
    for part in filter(None, text.split(",")):
        name, colon, amount = part.partition(":")
        if not colon or not amount.isdecimal() or int(amount) < 1:
            raise BadRequestError(f"Badly formed resources parameter. Got: {text!r}.")
        amounts[name] = int(amount)
    return amounts


def _traits(request: Request) -> tuple[set[str], set[str]]:
    """Return the forbidden and the required traits of `required` and `root_required`."""
    named = [
        trait
        for parameter in ("required", "root_required")
        for value in request.all(parameter)
        for trait in value.split(",")
    ]
    return {trait[1:] for trait in named if trait.startswith("!")}, {
        trait for trait in named if not trait.startswith("!")
    }
