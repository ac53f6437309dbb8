"""A small HTTP server: routes, a log of requests, and faults that can be put on each of them."""

import contextlib
import json
import socket
import struct
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.beds.sim.errors import ApiError, BadRequestError

LOG_LENGTH = 100_000
LONGEST_LINE = (
    8190  # bytes of a request's first line: Apache's LimitRequestLine; others allow 8 KiB
)


@dataclass
class Request:
    """One request.

    service: first segment of the path (identity, compute, placement, …); path: the rest;
    route: the path with `{id}` for what varies; names: the values of those.
    """

    service: str
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Message
    body: Any
    route: str = ""
    names: tuple[str, ...] = ()
    user: str = ""

    @property
    def line(self) -> str:
        """The first line of the request, as it is sent."""
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.method} /{self.service}{self.path}{query} HTTP/1.1"

    def one(self, name: str, default: str | None = None) -> str | None:
        """Return a query parameter; of a repeated one the last."""
        values = self.all(name)
        return values[-1] if values else default

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]


@dataclass
class Response:
    """body: None for none, else what is sent as JSON."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HttpFault:
    """What goes wrong with one request.

    kind: `reset` the connection, answer with a `status`, `delay` the answer by `seconds` of real
    time, send half of the body as if it were whole (`truncated`) or drop the connection after it
    (`cut`), or answer with lists that are `empty`. after: the request takes effect first (with
    delay, truncated, cut and empty it always does).
    """

    kind: Literal["reset", "status", "delay", "truncated", "cut", "empty"]
    after: bool = False
    status: int = 503
    seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Logged:
    """One answered request; `at` is the virtual time."""

    number: int
    at: float
    service: str
    method: str
    route: str
    path: str
    query: tuple[tuple[str, str], ...]
    user: str
    body: Any
    status: int  # 0 where the connection was reset
    fault: HttpFault | None
    agent: str = ""  # the User-Agent of its sender

    @property
    def name(self) -> str:
        return f"{self.service} {self.method} {self.route}"


@dataclass
class Log:
    """The requests answered so far (the newest LOG_LENGTH) and how many there were per route."""

    entries: deque[Logged] = field(default_factory=lambda: deque(maxlen=LOG_LENGTH))
    counts: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        self.entries.clear()
        self.counts.clear()

    def add(self, entry: Logged) -> None:
        self.entries.append(entry)
        self.counts[entry.name] += 1


Handler = Callable[[Request], Response]
Hook = Callable[[Request], HttpFault | None]


class Router:
    """Routes of one service: `/servers/{id}/action` and the like."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, int], list[tuple[tuple[str, ...], str, Handler]]] = {}

    def add(self, method: str, route: str, handler: Handler) -> None:
        parts = tuple(route.strip("/").split("/"))
        routes = self._routes.setdefault((method, len(parts)), [])
        routes.append((parts, route, handler))
        routes.sort(key=lambda entry: entry[1].count("{"))

    def find(self, method: str, path: str) -> tuple[str, tuple[str, ...], Handler] | None:
        """Return the route, the values of its names, and its handler."""
        parts = path.strip("/").split("/")
        for pattern, route, handler in self._routes.get((method, len(parts)), []):
            if all(
                want.startswith("{") or want == part
                for want, part in zip(pattern, parts, strict=True)
            ):
                names = tuple(
                    part for want, part in zip(pattern, parts, strict=True) if want.startswith("{")
                )
                return route, names, handler
        return None


class Application:
    """What the server serves; subclasses say how each service authenticates and words errors."""

    def __init__(self) -> None:
        self.routers: dict[str, Router] = {}
        self.log = Log()
        self.hook: Hook | None = None

    def now(self) -> float:
        """Return the time of the model, for the log."""
        raise NotImplementedError

    def handle(self, request: Request, handler: Handler) -> Response:
        """Authenticate, run the handler, and turn refusals into answers."""
        raise NotImplementedError

    def refuse(self, request: Request, error: ApiError) -> Response:
        """Word a refusal as the service does."""
        raise NotImplementedError

    def answer(self, request: Request) -> tuple[Response | None, HttpFault | None]:
        """Return the answer (None: reset the connection) and the fault that was put on it."""
        router = self.routers.get(request.service)
        found = router.find(request.method, request.path) if router else None
        if found is None:
            response = Response(404, {"message": "The resource could not be found."})
            return response, None
        request.route, request.names, handler = found
        if len(request.line) > LONGEST_LINE:
            return Response(414), None
        fault = self.hook(request) if self.hook else None
        if fault is None:
            return self.handle(request, handler), None
        return self._disturbed(request, handler, fault), fault

    def _disturbed(self, request: Request, handler: Handler, fault: HttpFault) -> Response | None:
        if fault.kind == "delay":
            time.sleep(fault.seconds)
            return self.handle(request, handler)
        effective = fault.after or fault.kind in ("truncated", "cut", "empty")
        response = self.handle(request, handler) if effective else Response(500)
        if fault.kind == "reset":
            return None
        if fault.kind == "status":
            error = ApiError("An injected fault.")
            error.status = fault.status
            response = self.refuse(request, error)
            response.headers.update(fault.headers)
        elif fault.kind == "empty" and isinstance(response.body, dict):
            response.body = {
                key: type(value)() if isinstance(value, list | dict) else value
                for key, value in response.body.items()
            }
        return response

    def note(self, request: Request, status: int, fault: HttpFault | None) -> None:
        self.log.add(
            Logged(
                self.log.counts.total() + 1,
                self.now(),
                request.service,
                request.method,
                request.route or request.path,
                request.path,
                tuple(request.query),
                request.user,
                request.body,
                status,
                fault,
                str(request.headers.get("User-Agent", "")),
            )
        )


class RequestHandler(BaseHTTPRequestHandler):
    """Reads requests off a connection and sends what the application answers."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: "Server"

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length) if length else b""
        if (
            len(raw) < length
        ):  # its sender died while it was on its way: a server never sees such a request
            self.close_connection = True
            return
        application = self.server.application
        request = self._request()
        try:
            request.body = json.loads(raw) if raw else None
        except ValueError:
            self._send(application.refuse(request, BadRequestError("Malformed request body")), None)
            return
        response, fault = application.answer(request)
        application.note(request, response.status if response else 0, fault)
        if response is None:
            self._reset()
        else:
            self._send(response, fault)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815

    def _request(self) -> Request:
        parts = urlsplit(self.path)
        service, _, path = parts.path.lstrip("/").partition("/")
        query = parse_qsl(parts.query, keep_blank_values=True)
        return Request(service, self.command, "/" + path, query, self.headers, None)

    def _send(self, response: Response, fault: HttpFault | None) -> None:
        payload = b"" if response.body is None else json.dumps(response.body).encode()
        kind = fault.kind if fault else ""
        sent = payload[: len(payload) // 2] if kind in ("truncated", "cut") else payload
        self.send_response_only(response.status)
        if payload:
            self.send_header("Content-Type", "application/json")
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload if kind == "cut" else sent)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)
        self.wfile.flush()
        if kind == "cut":
            self.close_connection = True

    def _reset(self) -> None:
        """Drop the connection with a RST, as a crashed server or a firewall does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent: the application keeps its own log."""


class Server(ThreadingHTTPServer):
    """Serves an application on loopback; a thread per connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, application: Application, port: int) -> None:
        self.application = application
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), RequestHandler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        """Stop listening and drop the connections that clients keep open."""
        self.server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def port(self) -> int:
        return int(self.server_address[1])
