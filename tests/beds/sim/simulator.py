"""The cloud behind HTTP, with the files that OpenStack's clients need to find it."""

import tempfile
import threading
import time
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from tests.beds.sim.compute_api import ComputeApi
from tests.beds.sim.errors import ApiError, UnauthorizedError
from tests.beds.sim.identity_api import Identity
from tests.beds.sim.model import Cloud
from tests.beds.sim.network_api import NetworkApi
from tests.beds.sim.placement_api import PlacementApi
from tests.beds.sim.volume_api import VolumeApi
from tests.beds.sim.web import Application, Handler, HttpFault, Request, Response, Server

CLOUDS = {"lab": "admin", "operator": "quiesce", "lab-demo": "demo"}
_TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
}
_NOVA_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}


class CloudApplication(Application):
    """All services on one cloud; one request at a time sees and changes it."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__()
        self.cloud = cloud
        self.base = ""
        self.identity = Identity(cloud.state, lambda: self.base)
        self.routers = {
            "identity": self.identity.router(),
            "compute": ComputeApi(cloud, self.identity).router(),
            "placement": PlacementApi(cloud.state, self.identity).router(),
            "network": NetworkApi(cloud.state, self.identity).router(),
            "block_storage": VolumeApi(cloud.state, self.identity).router(),
        }

    def now(self) -> float:
        return self.cloud.clock.now()

    def handle(self, request: Request, handler: Handler) -> Response:
        clock = self.cloud.clock
        with clock.lock:
            clock.catch_up()
            try:
                response = handler(request)
            except ApiError as error:
                response = self.refuse(request, error)
            response.headers["Date"] = formatdate(clock.now(), usegmt=True)
            return response

    def refuse(self, request: Request, error: ApiError) -> Response:
        """Word a refusal as the service does; a missing token is refused by Keystone's
        middleware.
        """
        title = _TITLES.get(error.status, "Error")
        if request.service == "identity" or error.status == UnauthorizedError.status:
            body: dict[str, Any] = {
                "error": {"code": error.status, "title": title, "message": error.message}
            }
        elif request.service == "compute":
            name = _NOVA_NAMES.get(error.status, "computeFault")
            body = {name: {"code": error.status, "message": error.message}}
        elif request.service == "placement":
            detail = f"{error.message}"
            body = {
                "errors": [
                    {"status": error.status, "title": title, "detail": detail, "request_id": ""}
                ]
            }
        elif request.service == "block_storage":
            name = _NOVA_NAMES.get(error.status, "computeFault")
            body = {name: {"code": error.status, "message": error.message}}
        else:
            body = {"NeutronError": {"type": title, "message": error.message, "detail": ""}}
        return Response(error.status, body)


class Simulator:
    """A cloud served on a free port of loopback.

        with Simulator(speed=20) as sim:
            connection = openstack.connect(cloud="lab", config_files=[sim.clouds_yaml])

    cloud: the model, for people and power cuts; log: the requests; hook: see HttpFault.
    """

    def __init__(self, cloud: Cloud | None = None, *, port: int = 0, speed: float = 0.0) -> None:
        self.cloud = cloud or Cloud(start=time.time(), speed=speed)
        self.application = CloudApplication(self.cloud)
        self.log = self.application.log
        self.identity = self.application.identity
        self._port = port
        self._server: Server | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="quiesce-sim-")

    @property
    def clouds_yaml(self) -> Path:
        return Path(self._folder.name) / "clouds.yaml"

    @property
    def auth_url(self) -> str:
        return f"{self.application.base}/identity/v3"

    def start(self) -> Self:
        """Listen; after `stop`, on the same port as before."""
        self._server = Server(self.application, self._port)
        self._port = self._server.port
        self.application.base = f"http://127.0.0.1:{self._port}"
        self.clouds_yaml.write_text(yaml.safe_dump({"clouds": self.clouds()}))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening: connections are refused until `start`."""
        if self._server is not None:
            self._server.shutdown()
            self._server.close_all()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._folder.cleanup()

    def clouds(self) -> dict[str, Any]:
        """Return the content of clouds.yaml: `lab` and `operator` (admins), `lab-demo` (a
        member).
        """
        return {cloud: self.cloud_entry(user) for cloud, user in CLOUDS.items()}

    def cloud_entry(self, name: str) -> dict[str, Any]:
        """Return the entry of clouds.yaml for a user."""
        user = self.cloud.state.users[name]
        return {
            "auth": {
                "auth_url": self.auth_url,
                "username": user.name,
                "password": user.password,
                "project_name": user.project.name,
                "user_domain_id": "default",
                "project_domain_id": "default",
            },
            "region_name": "RegionOne",
            "identity_api_version": 3,
        }

    def fail(self, route: str, fault: HttpFault, *, times: int = 1, skip: int = 0) -> None:
        """Put a fault on requests of a route, such as `compute POST /v2.1/servers/{id}/action`.

        The first `skip` of them go through, then `times` are hit. It takes the place of any hook.
        """
        seen = 0

        def hook(request: Request) -> HttpFault | None:
            nonlocal seen
            if f"{request.service} {request.method} {request.route}" != route:
                return None
            seen += 1
            return fault if skip < seen <= skip + times else None

        self.application.hook = hook

    def refuse(self, route: str, *, times: int = 1) -> None:
        """On the next requests of a route drop the connection and listen no more, until `start`: a
        service that died.
        """

        def hook(request: Request) -> HttpFault | None:
            nonlocal times
            if not times or f"{request.service} {request.method} {request.route}" != route:
                return None
            times -= 1
            self.stop()
            return HttpFault("reset")

        self.application.hook = hook

    @property
    def listens(self) -> bool:
        return self._server is not None

    def heal(self) -> None:
        """Take every HTTP fault away."""
        self.application.hook = None
