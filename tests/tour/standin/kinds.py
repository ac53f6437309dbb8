"""What the stand-in serves: built-in kinds, and those that a CRD brings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
_STEP = re.compile(r"\w+(?:\[[^]]*\])?")  # of a JSONPath: a name, or a name with a filter
_FILTER = re.compile(r'(\w+)\[\?\(@\.(\w+)=="(\w+)"\)\]')


@dataclass(frozen=True)
class Kind:
    """One kind in one version. `columns`: as in a CRD; `schema`: OpenAPI v3."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    status: bool = False
    """Status is a subresource: written by itself, and by nothing else."""
    columns: tuple[Json, ...] = field(default=({"name": "Age", "type": "date"},), compare=False)
    schema: Json = field(default_factory=lambda: {"type": "object"}, compare=False)

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def base(self) -> str:
        return f"/{'apis' if self.group else 'api'}/{self.api_version}"

    def row(self, thing: Json) -> list[Any]:
        """Cells of a table: the name, then `columns`."""
        return [thing["metadata"]["name"], *(_cell(column, thing) for column in self.columns)]


CRD = Kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
           namespaced=False, short=("crd", "crds"))  # fmt: skip
NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False, short=("ns",))
SECRET = Kind("", "v1", "secrets", "Secret")
EVENT = Kind("events.k8s.io", "v1", "events", "Event")
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
BUILT_IN = (SECRET, CRD, EVENT, LEASE, NAMESPACE)  # the last one: other paths begin like its own


def kinds_of(crd: Json) -> Iterator[Kind]:
    """Those that a CRD defines, one for each version."""
    spec = crd["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        yield Kind(
            spec["group"],
            version["name"],
            names["plural"],
            names["kind"],
            spec["scope"] == "Namespaced",
            tuple(names.get("shortNames", ())),
            "status" in version.get("subresources", {}),
            tuple(version.get("additionalPrinterColumns", ())),
            version["schema"]["openAPIV3Schema"],
        )


def add_defaults(schema: Json, value: Any) -> None:
    """Fills in the schema's defaults where a field is missing, as an API server does."""
    if isinstance(value, dict):
        for name, field_schema in schema.get("properties", {}).items():
            if "default" in field_schema:
                value.setdefault(name, _copy(field_schema["default"]))
            if name in value:
                add_defaults(field_schema, value[name])
    elif isinstance(value, list):
        for item in value:
            add_defaults(schema.get("items", {}), item)


def _copy(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else value


def _cell(column: Json, thing: Json) -> Any:
    if column["type"] == "date":
        return _age(thing["metadata"]["creationTimestamp"])
    found: Any = thing
    for step in _STEP.findall(column["jsonPath"]):
        found = _step(found, step)
    return found


def _step(value: Any, step: str) -> Any:
    if not isinstance(value, Mapping):
        return None
    if chosen := _FILTER.fullmatch(step):
        name, key, wanted = chosen.groups()
        return next((item for item in value.get(name, ()) if item.get(key) == wanted), None)
    return value.get(step)


def _age(created: str) -> str:
    """As kubectl shows it: seconds up to two minutes."""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds())
    return f"{seconds}s" if seconds < 120 else f"{seconds // 60}m"
