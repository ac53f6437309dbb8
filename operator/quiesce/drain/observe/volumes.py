"""What Nova does not show of a server and a move depends on: whether its volumes are encrypted
(Cinder), the properties of its image (in Nova from microversion 2.98, else in Glance), and whether
there is the image of a shelved one (Glance).
"""

from collections.abc import Mapping
from dataclasses import replace

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.api.text import count, some
from quiesce.drain.model.observation import Unread
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.errors import NotInCatalog
from quiesce.openstack.records import Image, Server, Volume

_ENCRYPTED = "whether their volumes are encrypted with a secret of their owner"
_PROPERTIES = "whether their images ask for a virtual TPM or encrypted memory"
_SNAPSHOTS = "whether the images of their disks exist"


def read_volumes(
    cloud: Cloud, servers: tuple[Server, ...]
) -> tuple[tuple[Server, ...], tuple[Unread, ...]]:
    """The same servers with what Cinder and Glance tell, and what stays unknown.

    Where Cinder or Glance is not in the catalog or does not permit it, servers are moved all the
    same; where it does not answer, `encrypted` is None or `image_read` False, and those servers
    wait. What an image that was deleted asked for is lost before microversion 2.98: Nova has it,
    and does not show it.
    """
    with_volumes = tuple(server for server in servers if server.volumes)
    volumes, unread = _volumes_of(cloud, with_volumes)
    images, unread_images = _images_of(cloud, servers)
    found = tuple(_with_images(_complete(server, volumes), images) for server in servers)
    found, unread_snapshots = _with_snapshots(cloud, found)
    return found, (*unread, *unread_images, *unread_snapshots)


def _with_snapshots(
    cloud: Cloud, servers: tuple[Server, ...]
) -> tuple[tuple[Server, ...], tuple[Unread, ...]]:
    """Of a server that was shelved, not offloaded, the image is the only copy of its disk once it
    is offloaded; its owner may have deleted it (nova/compute/manager.py shelve_offload_instance
    does not look).
    """
    shelved = tuple(s for s in servers if s.status == "SHELVED" and not s.volume_backed)
    if not shelved:
        return servers, ()
    have: frozenset[str] | None
    unread: tuple[Unread, ...] = ()
    try:
        have = cloud.snapshots(server.id for server in shelved)
    except NotInCatalog as error:
        return servers, (_unread("ImagesNotRead", shelved, _SNAPSHOTS, str(error)),)
    except (CloudUnreachable, NotAllowed) as error:
        have, unread = None, (_unread("ImagesNotRead", shelved, _SNAPSHOTS, f"{error}. They wait"),)
    known = {s.id: None if have is None else s.id in have for s in shelved}
    return tuple(replace(s, snapshot=known.get(s.id, s.snapshot)) for s in servers), unread


def _volumes_of(
    cloud: Cloud, servers: tuple[Server, ...]
) -> tuple[Mapping[str, Volume] | None, tuple[Unread, ...]]:
    """None: Cinder does not answer now."""
    if not servers:
        return {}, ()
    try:
        return cloud.volumes(v for server in servers for v in server.volumes), ()
    except CloudUnreachable as error:
        return None, (_unread("VolumesNotRead", servers, _ENCRYPTED, f"{error}. They wait"),)
    except NotInCatalog as error:
        return {}, (_unread("VolumesNotRead", servers, _ENCRYPTED, str(error)),)
    except NotAllowed as error:
        return {}, (_unread("VolumesNotRead", servers, _ENCRYPTED, str(error)),)


def _images_of(
    cloud: Cloud, servers: tuple[Server, ...]
) -> tuple[Mapping[str, Image] | None, tuple[Unread, ...]]:
    """None: Glance does not answer now."""
    imaged = tuple(server for server in servers if server.image_id)
    if not imaged or cloud.shows_image_properties:
        return {}, ()
    try:
        found = cloud.images(server.image_id for server in imaged)
    except CloudUnreachable as error:
        return None, (_unread("ImagesNotRead", imaged, _PROPERTIES, f"{error}. They wait"),)
    except (NotInCatalog, NotAllowed) as error:
        return {}, (_unread("ImagesNotRead", imaged, _PROPERTIES, str(error)),)
    gone = tuple(server for server in imaged if server.image_id not in found)
    if not gone:
        return found, ()
    return found, (_unread("ImagesNotRead", gone, _PROPERTIES, "Glance has these images no more"),)


def _unread(reason: str, servers: tuple[Server, ...], what: str, error: str) -> Unread:
    names = some(server.name for server in servers)
    return reason, len(servers), f"{count(len(servers), 'server')} ({names}): {what}: {error}"


def _with_images(server: Server, images: Mapping[str, Image] | None) -> Server:
    if images is None:
        return replace(server, image_read=False) if server.image_id else server
    if server.image_id not in images:
        return server
    properties = {**images[server.image_id].properties, **server.image_properties}
    return replace(server, image_properties=properties)


def _complete(server: Server, volumes: Mapping[str, Volume] | None) -> Server:
    if not server.volumes:
        return server
    if volumes is None:
        return replace(server, encrypted=None, image_read=not server.volume_backed)
    properties = dict(server.image_properties)
    mine = [volumes[v] for v in server.volumes if v in volumes]
    if server.volume_backed:
        for volume in mine:
            properties = {**volume.image_properties, **properties}
    encrypted = tuple(v.id for v in mine if v.encrypted)
    return replace(server, image_properties=properties, encrypted=encrypted)
