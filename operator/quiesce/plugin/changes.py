"""PURE. All that is ever written: a new drain, and patches of the fields and annotations that
docs/usage.md and docs/contract.md name.
"""

import re
from argparse import Namespace
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from quiesce.api.annotations import GROUP, REQUESTED_AT, VERSION
from quiesce.api.text import some
from quiesce.plugin.exits import Failed, Misused
from quiesce.plugin.view import HELD, DrainView

Json = dict[str, Any]

PLAN_METHOD = "LiveThenCold"
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LONGEST = 200  # characters of a name: the operator makes Secrets with longer ones
_SURE = "AwaitingDecision"  # its checks pass

# A new drain


def name_of(host: str) -> str:
    """A name of a resource for it: `Compute_07.example.org` -> `compute-07.example.org`. Raises
    Misused.
    """
    if not _HOST.fullmatch(host):
        raise Misused(
            f"{host!r} is no name of one host: give it exactly as `openstack compute service list` "
            "shows it (letters, digits, '.', '_' and '-')"
        )
    plain = re.sub(r"[^a-z0-9.-]", "-", host.lower())[:_LONGEST]
    return re.sub(r"[-.]*\.[-.]*", ".", plain).strip("-.")


def new_drain(flags: Namespace, namespace: str) -> Json:
    """The manifest that these flags stand for: what is not given is not in it. Raises Misused."""
    given = vars(flags)
    spec: Json = {"host": flags.host}
    for field, flag in (
        ("cloudCredentialsRef.secretName", "secret"),
        ("cloudCredentialsRef.cloudName", "cloud"),
        ("reason", "reason"),
        ("migration.method", "method"),
        ("migration.maxParallel", "parallel"),
        ("servers.suspended", "suspended"),
        ("confirmation.policy", "confirm"),
        ("service.afterDrain", "after_drain"),
        ("service.whileRunning", "while_running"),
        ("keyringRef.name", "keyring"),
        ("onDelete", "on_delete"),
    ):
        if given.get(flag) is not None:
            _set(spec, field, given[flag])
    if given.get("plan"):
        spec["mode"] = "Plan"
    name = given.get("name") or name_of(flags.host)
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "ComputeNodeDrain",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def _set(spec: Json, field: str, value: Any) -> None:
    *groups, last = field.split(".")
    for group in groups:
        spec = spec.setdefault(group, {})
    spec[last] = value


# Patches


def suspension(value: bool) -> Json:
    return {"spec": {"suspend": value}}


def decisions(view: DrainView, servers: Iterable[str], action: str) -> Json:
    """`servers`: IDs. Their earlier decisions are replaced, those of others kept; in this version
    of the drain only, because a merge patch replaces the whole list.
    """
    kept = [pair for pair in view.decisions if pair[0] not in set(servers)]
    return _with_decisions(view, [*kept, *((server, action) for server in servers)])


def new_tries(view: DrainView, servers: Sequence[str], now: datetime) -> Json:
    """For all servers of the drain; a Revert of those that are named is withdrawn as well."""
    body: Json = {"metadata": {"annotations": {REQUESTED_AT: now.isoformat()}}}
    kept = [pair for pair in view.decisions if pair[0] not in servers or pair[1] != "Revert"]
    if len(kept) == len(view.decisions):
        return body
    patch = _with_decisions(view, kept)
    return {"metadata": patch["metadata"] | body["metadata"], "spec": patch["spec"]}


def _with_decisions(view: DrainView, pairs: Iterable[tuple[str, str]]) -> Json:
    rows = [{"server": server, "action": action} for server, action in pairs]
    return {
        "metadata": {"resourceVersion": view.version},
        "spec": {"confirmation": {"decisions": rows}},
    }


# Servers


def chosen(view: DrainView, words: Sequence[str], every: bool) -> tuple[str, ...]:
    """IDs of the servers that a person named, or of all whose checks pass. Raises Failed."""
    if not every:
        return tuple(dict.fromkeys(server_id(view, word) for word in words))
    found = tuple(row.id for row in view.held if row.reason == _SURE)
    if not found:
        raise Failed(f"drain {view.name} lists no server as {_SURE}{_others(view)}")
    return found


def _others(view: DrainView) -> str:
    held = [row.name for row in view.held]
    return f"; name these to decide about them: {some(held)}" if held else ""


def server_id(view: DrainView, word: str) -> str:
    """Of a server by its ID, or by a name that one server of the drain has. Raises Failed."""
    if _UUID.fullmatch(word):
        return word
    status = view.status
    listed = [(row.id, row.name) for row in status.problems] if status else []
    listed += [(row.id, row.name) for row in status.moving] if status else []
    found = dict.fromkeys(id_ for id_, name in listed if name == word)
    if len(found) == 1:
        return next(iter(found))
    if found:
        raise Failed(f"several servers are called {word}: give an ID of {', '.join(found)}")
    held = [row.name for row in view.held]
    known = f"; held are: {some(held, 10)}" if held else "; it holds none now"
    raise Failed(f"drain {view.name} lists no server {word}{known}. An ID is accepted as well")


def doubtful(view: DrainView, servers: Iterable[str]) -> tuple[str, ...]:
    """What speaks against a confirm of these servers, one line each."""
    return tuple(
        f"{row.name}: {row.reason}: {row.message}"
        for row in view.problems
        if row.id in set(servers) and row.reason in HELD and row.reason != _SURE
    )


# Others


def rivals(views: Iterable[DrainView], body: Json) -> tuple[DrainView, ...]:
    """Drains of the same host of the same cloud, as far as one can tell without its credentials."""
    spec = body["spec"]
    cloud = spec.get("cloudCredentialsRef") or {}
    same = (
        cloud.get("secretName", "openstack-clouds"),
        cloud.get("cloudName", "openstack"),
    )
    return tuple(view for view in views if view.host == spec["host"] and view.cloud == same)
