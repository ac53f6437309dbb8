"""The model's APIs for the operator under test: no network, faults, every request watched."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from typing import Any, Literal, cast

import requests

from quiesce.api.errors import CloudUnreachable
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.http import Api
from tests.beds.sim.model import Cloud
from tests.beds.sim.simulator import CloudApplication
from tests.beds.sim.web import Request
from tests.harness.inprocess import Boundary
from tests.model.watch import Watch

TOKEN = "token"
_PREFIX = {"compute": "/v2.1", "network": "/v2.0", "placement": "", "block_storage": "/v3"}
LATENCY = 0.05  # virtual seconds of each half of a request

Fault = Literal[
    "refused", "reset", "500 before", "500 after", "503", "429", "truncated", "401", "403", "501"
]
FAULTS: tuple[Fault, ...] = (
    "refused",
    "reset",
    "500 before",
    "500 after",
    "503",
    "429",
    "truncated",
)
AFTER: tuple[Fault, ...] = ("reset", "500 after", "truncated")  # the request took effect
STATUS = {
    "500 before": 500,
    "500 after": 500,
    "503": 503,
    "429": 429,
    "401": 401,
    "403": 403,
    "501": 501,
}


@dataclass
class Answer:
    """As much of requests.Response as the operator reads."""

    status_code: int
    body: Any
    headers: Mapping[str, str]
    reason: str = "injected"
    whole: bool = True
    content: bytes = b""  # its size counts for the memory of a tick, which is no matter here

    def json(self) -> Any:
        if not self.whole:
            raise ValueError("Expecting value")
        return self.body


class InProcess(Api):
    """An Api whose requests are answered by the model. Time passes with each of them."""

    def __init__(
        self,
        cloud: Cloud,
        application: CloudApplication,
        boundary: Boundary,
        watch: Watch,
        fault: Callable[[str, str], Fault | None],
    ) -> None:
        """`fault`: what goes wrong with the next request of a method and path, if anything.

        `boundary`: the process may die before and after each request.
        """
        self.absent: tuple[str, ...] = ()  # services that are not in the catalog
        self.excuse = "injected"  # the text of an error that Nova answers with
        self.hidden: list[str] = []  # paths: what the next answer to each lacks, see World
        user = cloud.state.users["quiesce"]
        application.identity.tokens[TOKEN] = user
        self.user_id, self.identity = user.id, "model"
        self.microversion = "2.87" if cloud.state.config.ends_on_source else "2.100"
        self._cloud, self._application = cloud, application
        self._boundary, self._watch, self._fault = boundary, watch, fault
        self._headers = Message()
        self._headers["X-Auth-Token"] = TOKEN
        self._headers["OpenStack-API-Version"] = f"compute {self.microversion}"

    def _send(
        self, service: Any, method: str, path: str, query: Any = (), body: Any = None
    ) -> requests.Response:
        pairs = query.items() if isinstance(query, Mapping) else query
        if service in self.absent or service not in _PREFIX:
            name = service.replace("_", " ")
            raise NotInCatalog(f"the cloud's catalog has no {name} service")
        prefix = _PREFIX[service]
        request = Request(
            service, method, prefix + path, [(k, str(v)) for k, v in pairs], self._headers, body
        )
        self._boundary.cross(f"before {method} {path}")
        self._cloud.clock.advance(LATENCY)
        answer = self._exchange(request, self._fault(method, path))
        self._cloud.clock.advance(LATENCY)
        self._boundary.cross(f"after {method} {path}")
        return cast(requests.Response, answer)

    @contextmanager
    def _without_a_cell(self, request: Request) -> Iterator[None]:
        """For this one request, where it is one of `hidden`."""
        path, down = request.path.removeprefix("/v2.1"), self._cloud.state.down_cells
        if request.method != "GET" or path not in self.hidden:
            yield
            return
        self.hidden.remove(path)
        cells = {c.cell for c in self._cloud.state.computes.values()} - down
        down |= cells
        try:
            yield
        finally:
            down -= cells

    def _exchange(self, request: Request, fault: Fault | None) -> Answer:
        if request.method != "GET":
            self._watch.sent(request, answered=fault in (None, "401", "403", "501"))
        if fault is None or fault in AFTER:
            self._watch.before(request)
            with self._without_a_cell(request):
                response, _ = self._application.answer(request)
            assert response is not None
            if fault is None:
                self._watch.after(request, response)
                return Answer(response.status, response.body, response.headers)
            if fault == "truncated":
                return Answer(response.status, None, {}, whole=False)
        if fault in ("refused", "reset"):
            raise CloudUnreachable(f"{request.method} {request.path}: connection {fault}")
        return Answer(
            STATUS[fault], {"error": {"message": f"{self.excuse} {fault}"}}, {"Retry-After": "1"}
        )
