"""The objects over HTTP, as kubectl and Kubernetes' clients ask for them."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.tour.standin import discovery
from tests.tour.standin.kinds import NAMESPACE, Kind
from tests.tour.standin.objects import ApiError, Event, Objects, Ref

Json = dict[str, Any]
WATCH_SECONDS = 3600.0
MERGE = ("application/merge-patch+json", "application/strategic-merge-patch+json")
APPLY = "application/apply-patch+yaml"


class Place(NamedTuple):
    """What a path names; `name` is empty for a list."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    @property
    def ref(self) -> Ref:
        return Ref(self.kind, self.namespace, self.name)


def find(kinds: list[Kind], path: str) -> Place:
    """Raises ApiError 404 where nothing is served."""
    for kind in kinds:
        if not path.startswith(f"{kind.base}/"):
            continue
        steps = [unquote(step) for step in path.removeprefix(f"{kind.base}/").split("/")]
        namespace = ""
        if steps[0] == "namespaces" and kind != NAMESPACE and len(steps) > 2:
            namespace, steps = steps[1], steps[2:]
        if steps[0] == kind.plural and (kind.namespaced or not namespace):
            name, subresource = ([*steps[1:], "", ""])[:2]
            return Place(kind, namespace, name, subresource)
    raise ApiError(404, "NotFound", "the server could not find the requested resource")


def merged(value: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), change)
    return result


def selected(query: dict[str, str]) -> Callable[[Json], bool]:
    """By equality of labels, or by name."""
    labels = [part.split("=") for part in query.get("labelSelector", "").split(",") if part]
    fields = [part.split("=") for part in query.get("fieldSelector", "").split(",") if part]

    def chosen(thing: Json) -> bool:
        metadata = thing["metadata"]
        has = metadata.get("labels") or {}
        return all(has.get(pair[0]) == pair[-1] for pair in labels) and all(
            metadata.get(pair[0].removeprefix("metadata.")) == pair[-1] for pair in fields
        )

    return chosen


def table(kind: Kind, things: list[Json], version: str) -> Json:
    """What `kubectl get` prints."""
    name: Json = {"name": "Name", "type": "string", "format": "name", "priority": 0}
    columns = [name, *({"priority": 0, "format": ""} | column for column in kind.columns)]
    rows = []
    for thing in things:
        part = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": thing["metadata"],
        }
        rows.append({"cells": kind.row(thing), "object": part})
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": columns,
        "rows": rows,
    }


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    objects: Objects

    def _serve(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with suppress(BrokenPipeError, ConnectionResetError):
            try:
                self._answer(url.path.rstrip("/"), query, self._parsed(raw))
            except ApiError as error:
                self._send(error.code, error.status)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _parsed(self, raw: bytes) -> Any:
        if "protobuf" in self.headers.get("Content-Type", ""):
            raise ApiError(415, "UnsupportedMediaType", "the stand-in takes JSON")
        return yaml.safe_load(raw) if raw else None

    def _answer(self, path: str, query: dict[str, str], body: Any) -> None:
        documents = discovery.documents(self.objects.kinds)
        if path in documents:
            self._send(200, documents[path])
            return
        place = find(self.objects.kinds, path)
        if self.command == "GET" and query.get("watch") in ("1", "true"):
            self._watch(place, query)
        elif self.command == "GET":
            self._send(200, self._read(place, query))
        elif self.command == "POST":
            self._send(201, self.objects.create(place.kind, place.namespace, body))
        elif self.command == "DELETE":
            self._send(200, self.objects.delete(place.ref))
        else:
            self._send(200, self._write(place, body))

    def _read(self, place: Place, query: dict[str, str]) -> Json:
        kind, as_table = place.kind, "as=Table" in self.headers.get("Accept", "")
        if place.name:
            thing = self.objects.get(place.ref)
            version = thing["metadata"]["resourceVersion"]
            return table(kind, [thing], version) if as_table else thing
        version = str(self.objects.version)
        things = self.objects.list(kind, place.namespace, selected(query))
        if as_table:
            return table(kind, things, version)
        return {
            "kind": f"{kind.kind}List",
            "apiVersion": kind.api_version,
            "metadata": {"resourceVersion": version},
            "items": things,
        }

    def _write(self, place: Place, body: Json) -> Json:
        type_ = self.headers.get("Content-Type", "")
        if self.command == "PUT":
            return self.objects.change(place.ref, place.subresource, lambda _: body)
        if type_ in MERGE:
            return self.objects.change(
                place.ref, place.subresource, lambda thing: merged(thing, body)
            )
        if type_ == APPLY and place.subresource == "status":
            # The operator owns the whole status: what it does not send any more is gone.
            return self.objects.change(
                place.ref, "status", lambda thing: thing | {"status": body["status"]}
            )
        if type_ == APPLY and place.ref in self.objects:
            return self.objects.change(
                place.ref, place.subresource, lambda thing: merged(thing, body)
            )
        if type_ == APPLY:
            return self.objects.create(place.kind, place.namespace, body)
        raise ApiError(415, "UnsupportedMediaType", f"the stand-in takes no {type_}")

    def _watch(self, place: Place, query: dict[str, str]) -> None:
        if query.get("sendInitialEvents") == "true":  # clients list first then
            raise ApiError(422, "Invalid", "sendInitialEvents: Forbidden by the stand-in")
        as_table = "as=Table" in self.headers.get("Accept", "")
        chosen = selected(query)
        seconds = float(query.get("timeoutSeconds", WATCH_SECONDS))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in self._events(place, query, seconds):
            if not chosen(event.thing):
                continue
            shown = event.thing
            if as_table:
                shown = table(place.kind, [event.thing], str(event.version))
            line = {"type": event.type, "object": shown}
            self.wfile.write(json.dumps(line).encode() + b"\n")

    def _events(self, place: Place, query: dict[str, str], seconds: float) -> Iterator[Event]:
        since = int(query.get("resourceVersion") or 0)
        if not since:
            since = self.objects.version
            for thing in self.objects.list(place.kind, place.namespace, selected(query)):
                yield Event(since, "ADDED", place.ref, thing)
        yield from self.objects.watch(place.kind, place.namespace, since, seconds)

    def _send(self, code: int, body: Json) -> None:
        raw = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """-> its address."""
    objects = Objects()
    objects.create(NAMESPACE, "", {"metadata": {"name": "default"}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"objects": objects}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        objects.close()
        server.shutdown()
        server.server_close()
