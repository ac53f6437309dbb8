"""A pretended API server on loopback: stores JSON objects, keeps every request, fails on demand.

It serves what our client and kopf request: discovery, get, paged list, watch, a merge
patch with `resourceVersion`, apply of a status, create.
"""

import json
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import yaml
from kubernetes.client import ApiClient

from quiesce.kube.client import connect

Json = dict[str, Any]
DRAINS = "computenodedrains"


class Request(NamedTuple):
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    content_type: str | None
    agent: str
    body: Any


class Answer(NamedTuple):
    status: int
    body: Any


def drain(name: str = "d1", namespace: str = "ns", **metadata: Any) -> Json:
    """A ComputeNodeDrain as the API server would show it."""
    return {
        "apiVersion": "quiesce.dev/v1alpha1",
        "kind": "ComputeNodeDrain",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{namespace}-{name}",
            "generation": 1,
            "resourceVersion": "10",
            "creationTimestamp": "2026-01-31T12:00:00Z",
            **metadata,
        },
        "spec": {"host": f"{name}.example.org"},
    }


def status_object(code: int, message: str, reason: str = "", details: Json | None = None) -> Answer:
    status = {
        "kind": "Status",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return Answer(code, {**status, "details": details or {}})


def client_of(url: str) -> ApiClient:
    """The client that the operator makes for an API server at this address."""
    config = {
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kubeconfig")
        path.write_text(yaml.safe_dump(config))
        with mock.patch.dict(os.environ, KUBECONFIG=str(path)):
            return connect("c", connections=4).client


class FakeApi:
    """`objects` by path; `requests` as they came; `faults` answer instead, while they last.

    A fault that gives bytes sends them with status 200; no bytes at all: it hangs up.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.objects: dict[str, Json] = {}
        self.requests: list[Request] = []
        self.faults: list[Callable[[Request], Answer | bytes | None]] = []
        self.plurals = [DRAINS]
        self.page = 500
        self._version = 100
        self._watchers: list[tuple[str, queue.Queue[Json | None]]] = []

    def client(self) -> ApiClient:
        return client_of(self.url)

    def put(self, thing: Json, *, event: str = "MODIFIED") -> None:
        """Stores a custom object and tells those who watch."""
        self._version += 1
        thing["metadata"]["resourceVersion"] = str(self._version)
        self.objects[_path_of(thing)] = thing
        self.tell({"type": event, "object": json.loads(json.dumps(thing))})

    def drop(self, thing: Json) -> None:
        del self.objects[_path_of(thing)]
        self.tell({"type": "DELETED", "object": thing})

    def tell(self, event: Json | None) -> None:
        """Sends a watch event as it is to those who watch its kind; None ends the streams."""
        kind = (event or {}).get("object", {}).get("kind", "")
        for plural, watcher in list(self._watchers):
            own = f"{kind.lower()}s"
            if event is None or own == plural or own not in self.plurals:
                watcher.put(event)
        if event is None:
            self._watchers.clear()

    @property
    def watched(self) -> bool:
        return bool(self._watchers)

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.method != "GET"]

    def fail(
        self,
        status: int,
        message: str = "",
        times: int = 1,
        when: Callable[[Request], bool] | None = None,
    ) -> None:
        """The next `times` requests (of those for which `when`) get this status."""
        left = [times]

        def fault(request: Request) -> Answer | None:
            if left[0] == 0 or (when is not None and not when(request)):
                return None
            left[0] -= 1
            return status_object(status, message)

        self.faults.append(fault)

    def answer(self, request: Request) -> Answer | bytes:
        self.requests.append(request)
        for fault in self.faults:
            if (answer := fault(request)) is not None:
                return answer
        return self._serve(request)

    def _serve(self, request: Request) -> Answer:
        if (found := _discovery(self.plurals).get(request.path)) is not None:
            return Answer(200, found)
        if request.method == "POST":
            return Answer(201, request.body)
        if request.path.endswith(tuple(f"/{plural}" for plural in self.plurals)):
            return self._list(request)
        path = request.path.removesuffix("/status")
        if path not in self.objects and "/namespaces/" not in path:
            return Answer(404, "404 page not found")
        if path not in self.objects:
            return status_object(
                404, f"{path} not found", "NotFound", {"name": path.rpartition("/")[2]}
            )
        if request.method == "PATCH":
            return self._patch(path, request)
        return Answer(200, self.objects[path])

    def _list(self, request: Request) -> Answer:
        prefix, _, plural = request.path.rpartition("/")
        found = [
            thing
            for path, thing in sorted(self.objects.items())
            if path.startswith(prefix) and f"/{plural}/" in path
        ]
        start, limit = (
            int(request.query.get("continue", "0")),
            int(request.query.get("limit", "500")),
        )
        end = start + min(limit, self.page)
        metadata: Json = {"resourceVersion": str(self._version)}
        if end < len(found):
            metadata["continue"] = str(end)
        return Answer(200, {"kind": "List", "metadata": metadata, "items": found[start:end]})

    def _patch(self, path: str, request: Request) -> Answer:
        thing = json.loads(json.dumps(self.objects[path]))
        if request.path.endswith("/status"):
            thing["status"] = request.body["status"]
        else:
            change = request.body.get("metadata", {})
            if (
                change.get("resourceVersion", thing["metadata"]["resourceVersion"])
                != thing["metadata"]["resourceVersion"]
            ):
                return status_object(409, "the object has been modified", "Conflict")
            thing["metadata"] |= {
                key: value for key, value in change.items() if key != "resourceVersion"
            }
        self.put(thing)
        return Answer(200, thing)

    def stream(self, plural: str) -> Iterator[Json]:
        events: queue.Queue[Json | None] = queue.Queue()
        self._watchers.append((plural, events))
        while (event := events.get()) is not None:
            yield event


def _path_of(thing: Json) -> str:
    meta = thing["metadata"]
    plural = f"{thing['kind'].lower()}s"
    return f"/apis/quiesce.dev/v1alpha1/namespaces/{meta['namespace']}/{plural}/{meta['name']}"


def _discovery(plurals: list[str]) -> dict[str, Json]:
    verbs = ["get", "list", "watch", "patch"]

    def resources(version: str, *names: str) -> Json:
        rows = [
            {"name": name, "singularName": name, "kind": name, "namespaced": True, "verbs": verbs}
            for name in names
        ]
        return {"kind": "APIResourceList", "groupVersion": version, "resources": rows}

    def group(name: str, version: str) -> Json:
        row = {"groupVersion": f"{name}/{version}", "version": version}
        return {"name": name, "versions": [row], "preferredVersion": row}

    groups = [group("apiextensions.k8s.io", "v1")] + (
        [group("quiesce.dev", "v1alpha1")] if plurals else []
    )
    found = {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/api/v1": resources("v1", "namespaces"),
        "/apis": {"kind": "APIGroupList", "groups": groups},
        "/apis/apiextensions.k8s.io/v1": resources(
            "apiextensions.k8s.io/v1", "customresourcedefinitions"
        ),
    }
    if plurals:
        found["/apis/quiesce.dev/v1alpha1"] = resources("quiesce.dev/v1alpha1", *plurals)
    return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: FakeApi

    def _serve(self) -> None:
        url = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(
            self.command,
            url.path,
            {key: values[0] for key, values in parse_qs(url.query).items()},
            self.headers.get("Content-Type"),
            self.headers.get("User-Agent", ""),
            json.loads(raw) if raw else None,
        )
        answer = self.api.answer(request)
        with suppress(BrokenPipeError, ConnectionResetError):  # a client that is being stopped
            self._send_what(answer, request)

    do_GET = do_PATCH = do_POST = _serve  # noqa: N815 - http.server's names

    def _send_what(self, answer: Answer | bytes, request: Request) -> None:
        if answer == b"":
            self.close_connection = True  # and no word
        elif isinstance(answer, bytes):
            self._send(200, answer)
        elif request.query.get("watch") == "true" and answer.status == 200:
            self._stream(request.path.rpartition("/")[2])
        else:
            self._send(answer.status, json.dumps(answer.body).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, plural: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for event in self.api.stream(plural):
            try:
                self.wfile.write(json.dumps(event).encode() + b"\n")
            except OSError:
                return

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[FakeApi]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.api = api = FakeApi(f"http://127.0.0.1:{server.server_address[1]}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.tell(None)
        server.shutdown()
        server.server_close()
        thread.join()
