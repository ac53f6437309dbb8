"""/healthz, /readyz and /metrics for the kubelet, Prometheus and people."""

import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from quiesce.ops.logging import get_logger

log = get_logger(__name__)

_MOST_CONNECTIONS = 32
Check = Callable[[], list[str]]
"""-> what is wrong, a line each; an empty list: healthy."""


class HealthServer:
    """Serves from start() to stop(), in threads of its own."""

    def __init__(
        self, host: str, port: int, healthz: Check, readyz: Check, registry: CollectorRegistry
    ) -> None:
        """Binds at once; raises OSError if it cannot. An empty host: every address, IPv6 too."""
        self._server = _Server(host, port, {"/healthz": healthz, "/readyz": readyz}, registry)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=[0.1], name="health", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, host: str, port: int, checks: dict[str, Check], registry: CollectorRegistry
    ) -> None:
        self.checks, self.registry = checks, registry
        self._open: dict[Any, None] = {}
        self._lock = threading.Lock()
        both = not host and socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both or ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)  # HTTPServer's own would ask DNS for our name

    def process_request(self, request: Any, client_address: Any) -> None:
        """Each has a thread. Beyond the limit the oldest connection is cut, which is one that says
        nothing: so nobody keeps a probe out.
        """
        with self._lock:
            self._open[request] = None
            oldest = next(iter(self._open)) if len(self._open) > _MOST_CONNECTIONS else None
            self._open.pop(oldest, None)
        if oldest is not None:
            with suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line of the log; the usual one prints a traceback that is none. Not of one who hung
        up.
        """
        if not isinstance(sys.exception(), OSError):
            log.exception("unexpected error while answering a probe or a scrape")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10  # seconds that a silent client may hold a thread
    server_version, sys_version = "quiesce", ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        elif path in self.server.checks:
            wrong = self.server.checks[path]()
            self._answer(503 if wrong else 200, "text/plain", _lines(wrong or ["ok"]))
        else:
            self._answer(404, "text/plain", b"/healthz /readyz /metrics\n")

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Probes every few seconds are not logged."""


def _lines(texts: list[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()
