"""What Nova does not show of a server and a move depends on: whether its volumes are encrypted
(Cinder), the properties of its image (in Nova from microversion 2.98, else in Glance), and whether
there is the image of a shelved one (Glance).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from quiesce.api.errors import CloudUnreachable, NotAllowed
from quiesce.api.text import count, some
from quiesce.drain.model.observation import Unread
from quiesce.openstack.cloud import Cloud
from quiesce.openstack.lookups import Found
from quiesce.openstack.records import Image, Server, Volume

_ENCRYPTED = "whether their volumes are encrypted with a secret of their owner"
_PROPERTIES = "whether their images ask for a virtual TPM or encrypted memory"
_SNAPSHOTS = "whether the images of their disks exist"
_Servers = tuple[Server, ...]
_Kinds = tuple[type[Exception], ...]
_NO_MOVE: _Kinds = (CloudUnreachable,)
_NO_OFFLOAD: _Kinds = (CloudUnreachable, NotAllowed)


def read_volumes(cloud: Cloud, servers: _Servers) -> tuple[_Servers, tuple[Unread, ...]]:
    """The same servers with what Cinder and Glance tell, and what stays unknown.

    Where Cinder or Glance is not in the catalog or does not permit it, servers are moved all the
    same; where it does not answer, for all or for one, `encrypted` is None or `image_read` False,
    and those servers wait. What an image that was deleted asked for is lost before microversion
    2.98: Nova has it, and does not show it.
    """
    unread: tuple[Unread, ...] = ()
    for read in (_with_volumes, _with_images, _with_snapshots):
        servers, more = read(cloud, servers)
        unread += more
    return servers, unread


def _with_volumes(cloud: Cloud, servers: _Servers) -> tuple[_Servers, tuple[Unread, ...]]:
    asked = [(server, server.volumes) for server in servers if server.volumes]
    if not asked:
        return servers, ()
    found = cloud.volumes(volume_id for _, ids in asked for volume_id in ids)
    unread = _unread("VolumesNotRead", _ENCRYPTED, asked, found)
    return tuple(_complete(server, found) for server in servers), unread


def _complete(server: Server, found: Found[Volume]) -> Server:
    if not server.volumes:
        return server
    if _waits(server.volumes, found):
        return replace(server, encrypted=None, image_read=not server.volume_backed)
    properties = dict(server.image_properties)
    mine = [found.known[v] for v in server.volumes if v in found.known]
    if server.volume_backed:
        for volume in mine:
            properties = {**volume.image_properties, **properties}
    encrypted = tuple(v.id for v in mine if v.encrypted)
    return replace(server, image_properties=properties, encrypted=encrypted)


def _with_images(cloud: Cloud, servers: _Servers) -> tuple[_Servers, tuple[Unread, ...]]:
    asked = [(server, (server.image_id,)) for server in servers if server.image_id]
    if not asked or cloud.shows_image_properties:
        return servers, ()
    found = cloud.images(server.image_id for server, _ in asked)
    unread = _unread("ImagesNotRead", _PROPERTIES, asked, found)
    read = {*found.known, *found.unknown}
    gone = [server for server, _ in asked if server.image_id not in read]
    if gone:
        why = "Glance has these images no more"
        unread = (*unread, _row("ImagesNotRead", _PROPERTIES, gone, why))
    return tuple(_with_image(server, found) for server in servers), unread


def _with_image(server: Server, found: Found[Image]) -> Server:
    if _waits((server.image_id,), found):
        return replace(server, image_read=False)
    if server.image_id not in found.known:
        return server
    properties = {**found.known[server.image_id].properties, **server.image_properties}
    return replace(server, image_properties=properties)


def _with_snapshots(cloud: Cloud, servers: _Servers) -> tuple[_Servers, tuple[Unread, ...]]:
    """Of a server that was shelved, not offloaded, the image is the only copy of its disk once it
    is offloaded; its owner may have deleted it (nova/compute/manager.py shelve_offload_instance
    does not look).
    """
    asked = [(s, (s.id,)) for s in servers if s.status == "SHELVED" and not s.volume_backed]
    if not asked:
        return servers, ()
    found = cloud.snapshots(server.id for server, _ in asked)
    unread = _unread("ImagesNotRead", _SNAPSHOTS, asked, found, _NO_OFFLOAD)
    complete = {server.id: _with_snapshot(server, found) for server, _ in asked}
    return tuple(complete.get(server.id, server) for server in servers), unread


def _with_snapshot(server: Server, found: Found[str]) -> Server:
    if _waits((server.id,), found, _NO_OFFLOAD):
        return replace(server, snapshot=None)
    if server.id in found.unknown:
        return server
    return replace(server, snapshot=server.id in found.known)


def _waits(ids: Sequence[str], found: Found[Any], kinds: _Kinds = _NO_MOVE) -> bool:
    """Whether one of these is unknown for such a cause."""
    failures = (found.unknown[each] for each in ids if each in found.unknown)
    return any(issubclass(failure.kind, kinds) for failure in failures)


def _unread(
    reason: str,
    what: str,
    asked: Sequence[tuple[Server, Sequence[str]]],
    found: Found[Any],
    kinds: _Kinds = _NO_MOVE,
) -> tuple[Unread, ...]:
    """Of these servers, with their IDs of volumes or images: one row for those that wait, and one
    for the others.
    """
    rows: list[Unread] = []
    for waiting, end in ((True, ". They wait"), (False, "")):
        mine = [
            (server, ids)
            for server, ids in asked
            if not found.unknown.keys().isdisjoint(ids) and _waits(ids, found, kinds) is waiting
        ]
        if mine:
            failures = (found.unknown[i] for _, ids in mine for i in ids if i in found.unknown)
            why = next(each.text for each in failures if issubclass(each.kind, kinds) is waiting)
            rows.append(_row(reason, what, [server for server, _ in mine], f"{why}{end}"))
    return tuple(rows)


def _row(reason: str, what: str, servers: Collection[Server], why: str) -> Unread:
    names = some(server.name for server in servers)
    return reason, len(servers), f"{count(len(servers), 'server')} ({names}): {what}: {why}"
