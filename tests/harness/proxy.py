"""A proxy between the operator and a whole OpenStack, in which any request can fail or be the last.

The operator is given the proxy's auth URL and nothing else. Where the other services are it
learns from Keystone's catalog and from version documents, whose links are rewritten on their
way; so nothing gets past it. One proxy is for one operator, or for one drain of several.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import requests
import yaml

from tests.beds.sim.errors import ApiError
from tests.beds.sim.web import Application, Handler, HttpFault, Request, Response, Server

Json = dict[str, Any]

UPSTREAM_TIMEOUT = 120.0  # seconds: longer than the operator waits
# Headers of one connection, and those that the server writes by itself (RFC 9110, 7.6.1).
PER_HOP = {
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "content-type",
    "content-encoding",
    "host",
}


VERSIONS = ("v2", "v2.0")
"""Of Glance and Neutron, in the paths of their requests."""


def route(path: str) -> str:
    """A path of any service without its IDs: `/servers/6f…/action` -> `/servers/{id}/action`."""
    parts = path.partition("?")[0].split("/")
    return "/".join(
        "{id}" if any(c.isdigit() for c in part) and part not in VERSIONS else part
        for part in parts
    )


TOKENS = "identity POST /auth/tokens"


@dataclass(frozen=True)
class Refusal:
    """The request is dropped before it leaves, and connections are refused for so many seconds."""

    seconds: float


@dataclass
class Planned:
    """A fault, how often it is still to strike, and how often it has struck."""

    fault: HttpFault | Refusal
    left: int
    struck: int = 0


@dataclass(frozen=True)
class Upstream:
    """Where a service really is: `http://host:port`, and the path of its endpoint."""

    origin: str
    path: str

    @classmethod
    def of(cls, url: str) -> "Upstream":
        parts = urlsplit(url)
        return cls(f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/"))


def stays_alive(_moment: str) -> bool:
    return False


@dataclass
class Proxy(Application):
    """`with Proxy(auth_url) as proxy: …`; on loopback, on a free port.

    watch: called at two moments of every request, `before NAME` (it has not left yet) and
    `after NAME` (it took effect, the answer is withheld so far). Returns whether its sender has
    died at this moment: then nothing is sent on. A NAME is a service of the catalog, a method, a
    path without IDs, and the action if there is one:
    `compute POST /servers/{id}/action migrate`. `log` counts them.
    """

    auth_url: str
    watch: Callable[[str], bool] = stays_alive
    plans: dict[str, Planned] = field(default_factory=dict)
    upstreams: dict[str, Upstream] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    port: int = 0
    server: Server | None = None
    comeback: threading.Timer | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.upstreams["identity"] = Upstream.of(self.auth_url)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def clouds_yaml(self, entry: Json) -> str:
        """A clouds.yaml with one cloud named `openstack`: this entry, but by way of the proxy."""
        auth = entry["auth"] | {
            "auth_url": f"{self.base}/identity{self.upstreams['identity'].path}"
        }
        return yaml.safe_dump({"clouds": {"openstack": entry | {"auth": auth}}})

    def fail(self, name: str, fault: HttpFault | Refusal, times: int = 1) -> None:
        """Put a fault on the next so many requests of this name."""
        self.plans[name] = Planned(fault, times)

    def struck(self, name: str) -> int:
        return self.plans[name].struck

    # Listening

    def start(self) -> Self:
        """Listen; after `stop`, on the same port as before."""
        self.server = Server(self, self.port)
        self.port = self.server.port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Connections are refused until `start`; those that are open are dropped."""
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.close_all()

    def _refuse_all(self, seconds: float) -> None:
        with self.lock:
            if self.server is not None:
                self.stop()
                self.comeback = threading.Timer(seconds, self.start)
                self.comeback.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.comeback is not None:
            self.comeback.cancel()
        self.stop()

    # One request

    def answer(self, request: Request) -> tuple[Response | None, HttpFault | None]:
        """The answer of the cloud, or what a fault makes of it; None: the connection is reset."""
        request.route = self.route(request)
        name = f"{request.service} {request.method} {request.route}"
        fault = self._strike(name)
        if self.watch(f"before {name}"):
            return None, None
        if isinstance(fault, Refusal):
            self._refuse_all(fault.seconds)
            return None, None
        response = self._disturbed(request, self.forward, fault) if fault else self.forward(request)
        if self.watch(f"after {name}"):
            return None, None
        return response, fault

    def route(self, request: Request) -> str:
        below = request.path.removeprefix(self.upstreams[request.service].path).strip("/")
        action = f" {next(iter(request.body))}" if below.endswith("/action") else ""
        return f"{route(f'/{below}')}{action}"

    def _strike(self, name: str) -> HttpFault | Refusal | None:
        with self.lock:
            plan = self.plans.get(name)
            if plan is None or not plan.left:
                return None
            plan.left, plan.struck = plan.left - 1, plan.struck + 1
            return plan.fault

    def forward(self, request: Request) -> Response:
        """Send it on, on a connection of its own, once."""
        upstream = self.upstreams[request.service]
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in PER_HOP
        }
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                request.method,
                upstream.origin + request.path,
                params=request.query,
                headers=headers,
                json=request.body,
                timeout=UPSTREAM_TIMEOUT,
                allow_redirects=False,
            )
        kept = {
            name: value for name, value in answer.headers.items() if name.lower() not in PER_HOP
        }
        return Response(answer.status_code, self.rewritten(request, answer), kept)

    def rewritten(self, request: Request, answer: requests.Response) -> Any:
        """The body with every link to a service turned into one to us; None where there is none."""
        if not answer.content:
            return None
        if f"{request.service} {request.method} {request.route}" == TOKENS:
            return self._catalog(answer.json())
        text = answer.text.replace(
            self.upstreams[request.service].origin, f"{self.base}/{request.service}"
        )
        return json.loads(text)

    def _catalog(self, body: Json) -> Json:
        for service in body.get("token", {}).get("catalog", ()):
            for endpoint in service["endpoints"]:
                upstream = self.upstreams.setdefault(service["type"], Upstream.of(endpoint["url"]))
                endpoint["url"] = f"{self.base}/{service['type']}{upstream.path}"
        return body

    def handle(self, request: Request, handler: Handler) -> Response:
        return handler(request)

    def refuse(self, request: Request, error: ApiError) -> Response:
        """An injected refusal, worded as Keystone's middleware does."""
        return Response(
            error.status,
            {"error": {"code": error.status, "title": "Injected", "message": error.message}},
        )

    def now(self) -> float:
        return 0.0
