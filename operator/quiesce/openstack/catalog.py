"""PURE. Where a cloud's services are, by the catalog in its token; and which cloud it is."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Literal

from quiesce.api.errors import CloudUnreachable
from quiesce.openstack.addresses import address_fault, origin

Catalog = Literal["compute", "placement", "network", "block_storage", "image"]

SERVICE_TYPES: Mapping[Catalog, str] = {
    "compute": "compute",
    "placement": "placement",
    "network": "network",
    "block_storage": "block-storage",
    "image": "image",
}
"""As the service types authority names them; keystoneauth knows older names, such as volumev3."""

# The part of the path below which the version of each API that is used lies. Catalogs have it or
# not (network and image mostly do not), some with another version, of the same process.
_VERSIONS: Mapping[Catalog, str] = {
    "compute": "v2.1",
    "network": "v2.0",
    "block_storage": "v3",
    "image": "v2",
}
_VERSION = re.compile(r"v[0-9][0-9.]{0,7}", re.ASCII)


def base_url(service: Catalog, address: str, project: str | None) -> str:
    """What the paths of requests are added to. Raises CloudUnreachable.

    `address`: in the catalog or in the Secret; `project`: the token's, which older catalogs have
    at its end. Only Cinder needs it there (before Yoga).
    """
    if fault := address_fault(address):
        raise CloudUnreachable(f"the address of the {service} service in the catalog {fault}")
    root, version, of_project = _split(address, project)
    wanted = _VERSIONS.get(service)
    if wanted is None:
        return address.rstrip("/")
    kept = f"/{project}" if of_project and service == "block_storage" and version else ""
    return f"{root}/{wanted}{kept}"


def identity(addresses: Iterable[str], region: str | None, project: str | None) -> str:
    """What is equal for all addresses of one Nova, and for no other Nova: 32 hexadecimal digits.

    `addresses`: of all its interfaces in the region, and that which is used, which is one of them:
    else one Nova would be two clouds, and a host could have a drain in each. Together they are the
    same by whichever of them, and of Keystone's, a cloud is reached. A catalog that claims
    another cloud's addresses leads to that cloud, whose Nova refuses the token.
    """
    known = sorted({_place(address, project) for address in addresses})
    text = "\n".join([region or "", *known])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_same(one: str, other: str, project: str | None) -> bool:
    """Whether two addresses lead to one service, in whichever version of its API."""
    return _place(one, project) == _place(other, project)


def _place(address: str, project: str | None) -> str:
    if address_fault(address):
        return address
    scheme, host, port = origin(address)
    path = _split(address, project)[0].split("://", 1)[1].partition("/")[2]
    return f"{scheme}://{host.lower()}:{port}/{path}"


def _split(address: str, project: str | None) -> tuple[str, str | None, bool]:
    """(what is before the version, the version, whether the project follows it)."""
    url, of_project = address.rstrip("/"), False
    head, _, last = url.rpartition("/")
    if project and last == project:
        url, of_project = head, True
        head, _, last = url.rpartition("/")
    if _VERSION.fullmatch(last) and not head.endswith("/"):
        return head, last, of_project
    return url, None, of_project
