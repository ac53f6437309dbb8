"""What clients read first: which kinds there are, and their schemas for `kubectl explain`."""

from collections.abc import Iterable
from typing import Any

from tests.tour.standin.kinds import Kind

Json = dict[str, Any]
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]


def documents(kinds: Iterable[Kind]) -> dict[str, Json]:
    """By path."""
    by_version: dict[str, list[Kind]] = {}
    for kind in kinds:
        by_version.setdefault(kind.base, []).append(kind)
    found: dict[str, Json] = {
        "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0-standin"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": _groups(by_version)},
        "/openapi/v3": {"paths": {base[1:]: _link(base) for base in by_version}},
    }
    for base, members in by_version.items():
        found[base] = _resources(members)
        found[f"/openapi/v3{base}"] = _openapi(members)
    return found


def _link(base: str) -> Json:
    return {"serverRelativeURL": f"/openapi/v3{base}"}


def _groups(by_version: dict[str, list[Kind]]) -> list[Json]:
    rows = []
    for members in by_version.values():
        if group := members[0].group:
            version = {"groupVersion": members[0].api_version, "version": members[0].version}
            rows.append({"name": group, "versions": [version], "preferredVersion": version})
    return rows


def _resources(members: list[Kind]) -> Json:
    rows = []
    for kind in members:
        row = {"namespaced": kind.namespaced, "kind": kind.kind, "singularName": kind.kind.lower()}
        rows.append(row | {"name": kind.plural, "verbs": VERBS, "shortNames": list(kind.short)})
        if kind.status:
            rows.append(row | {"name": f"{kind.plural}/status", "verbs": ["get", "patch"]})
    version = members[0].api_version
    return {"kind": "APIResourceList", "groupVersion": version, "resources": rows}


def _openapi(members: list[Kind]) -> Json:
    paths, schemas = {}, {}
    for kind in members:
        name = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        operation = {
            "x-kubernetes-group-version-kind": name,
            "parameters": [{"name": "fieldValidation", "in": "query"}],
            "responses": {},
        }
        where = "/namespaces/{namespace}" if kind.namespaced else ""
        path = f"{kind.base}{where}/{kind.plural}/{{name}}"
        paths[path] = dict.fromkeys(("get", "patch", "put"), operation)
        schema = kind.schema | {"x-kubernetes-group-version-kind": [name]}
        schemas[".".join(filter(None, (kind.group, kind.version, kind.kind)))] = schema
    info = {"title": "stand-in", "version": "0"}
    return {
        "openapi": "3.0.0",
        "info": info,
        "paths": paths,
        "components": {"schemas": schemas},
    }
