"""Cinder over HTTP: one volume, as its API v3 shows it to an admin."""

from dataclasses import dataclass

from tests.beds.sim.errors import NotFoundError
from tests.beds.sim.identity_api import Identity
from tests.beds.sim.state import State
from tests.beds.sim.web import Request, Response, Router


@dataclass
class VolumeApi:
    state: State
    identity: Identity

    def router(self) -> Router:
        router = Router()
        router.add("GET", "/", self._versions)
        router.add("GET", "/v3", self._versions)
        router.add("GET", "/v3/volumes/{id}", self._show)
        return router

    def _versions(self, request: Request) -> Response:
        link = {"rel": "self", "href": f"{self.identity.base()}/block_storage/v3/"}
        version = {"id": "v3.0", "status": "CURRENT", "version": "3.70", "min_version": "3.0"}
        return Response(200, {"versions": [version | {"links": [link]}]})

    def _show(self, request: Request) -> Response:
        """Another project's volume does not exist for a member."""
        user = self.identity.user_of(request)
        for server in self.state.servers.values():
            for volume in server.volumes:
                mine = user.is_admin or server.owner.project == user.project
                if volume.id == request.names[0] and mine:
                    shown = {
                        "id": volume.id,
                        "status": "in-use",
                        "encrypted": volume.encrypted,
                        "bootable": "true" if volume.boots else "false",
                        "volume_image_metadata": dict(volume.image_metadata),
                        "attachments": [{"server_id": server.id, "volume_id": volume.id}],
                    }
                    return Response(200, {"volume": shown})
        raise NotFoundError(f"Volume {request.names[0]} could not be found.")
