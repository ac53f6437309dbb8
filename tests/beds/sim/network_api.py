"""Neutron over HTTP: ports."""

from dataclasses import dataclass
from typing import Any

from tests.beds.sim.errors import NotFoundError
from tests.beds.sim.identity_api import Identity
from tests.beds.sim.records import Port, User
from tests.beds.sim.state import State
from tests.beds.sim.web import Request, Response, Router


@dataclass
class NetworkApi:
    state: State
    identity: Identity

    def router(self) -> Router:
        router = Router()
        router.add("GET", "/", self._versions)
        router.add("GET", "/v2.0", self._resources)
        router.add("GET", "/v2.0/ports", self._list)
        router.add("PUT", "/v2.0/ports/{id}", self._update)
        router.add("GET", "/v2.0/networks", self._networks)
        return router

    def _versions(self, request: Request) -> Response:
        link = {"rel": "self", "href": f"{self.identity.base()}/network/v2.0/"}
        return Response(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})

    def _resources(self, request: Request) -> Response:
        link = {"rel": "self", "href": f"{self.identity.base()}/network/v2.0/ports"}
        return Response(
            200, {"resources": [{"name": "port", "collection": "ports", "links": [link]}]}
        )

    def _networks(self, request: Request) -> Response:
        user = self.identity.user_of(request)
        network = {
            "id": "lab-net",
            "name": "lab-net",
            "shared": True,
            "project_id": user.project.id,
        }
        return Response(200, {"networks": [network]})

    def _list(self, request: Request) -> Response:
        """Repeated filters are alternatives; `binding:` is for admins, as filter and as
        attribute.
        """
        user = self.identity.user_of(request)
        rows = [
            self._view(port, user)
            for port in self._candidates(request)
            if user.is_admin or port.owner.project == user.project
        ]
        fields = request.all("fields")
        for name in {key for key, _ in request.query} - {
            "fields",
            "limit",
            "marker",
            "sort_key",
            "sort_dir",
        }:
            rows = [row for row in rows if name not in row or str(row[name]) in request.all(name)]
        if fields:
            rows = [{name: row[name] for name in fields if name in row} for row in rows]
        return Response(200, {"ports": rows})

    def _update(self, request: Request) -> Response:
        """Change `admin_state_up`: what is administratively down is DOWN, wherever it is bound."""
        user = self.identity.user_of(request)
        for port in (port for ports in self.state.ports_of.values() for port in ports):
            if port.id == request.names[0]:
                port.admin_state_up = request.body["port"]["admin_state_up"]
                port.status = "ACTIVE" if port.admin_state_up else "DOWN"
                return Response(200, {"port": self._view(port, user)})
        raise NotFoundError(f"Port {request.names[0]} could not be found.")

    def _candidates(self, request: Request) -> list[Port]:
        servers = request.all("device_id") or self.state.ports_of
        return [port for server in servers for port in self.state.ports_of.get(server, [])]

    def _view(self, port: Port, user: User) -> dict[str, Any]:
        project = port.owner.project.id
        shown = {
            "id": port.id,
            "name": "",
            "network_id": port.network,
            "tenant_id": project,
            "project_id": project,
            "device_id": port.server,
            "device_owner": f"compute:{self.state.zone_of(port.host)}",
            "mac_address": port.mac,
            "fixed_ips": [{"subnet_id": f"{port.network}-subnet", "ip_address": port.address}],
            "status": port.status,
            "admin_state_up": port.admin_state_up,
            "binding:vnic_type": port.vnic_type,
        }
        if user.is_admin:
            shown |= {
                "binding:host_id": port.host,
                "binding:vif_type": port.vif_type,
                "binding:vif_details": {},
                "binding:profile": {},
            }
        return shown
