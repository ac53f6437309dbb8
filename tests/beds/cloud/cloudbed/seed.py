"""What a fresh cloud has: users, projects, the catalog, an image, flavors and a network."""

from typing import Any

from .rest import CATALOG, Api, catalog_url
from .settings import PASSWORD

SERVICE_USERS = ("nova", "placement", "glance", "neutron")
FLAVORS = (("tiny", 64), ("small", 128))  # name, MiB


class Identity:
    """Keystone's resources by name, made when they are missing."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def ensure(self, kind: str, name: str, **attributes: Any) -> str:
        """Return the id of a resource (`kind` in the singular), making it if there is none."""
        present = self.api.call("keystone", "GET", f"/{kind}s?name={name}")[f"{kind}s"]
        if present:
            return str(present[0]["id"])
        body = {kind: {"name": name, **attributes}}
        return str(self.api.call("keystone", "POST", f"/{kind}s", body)[kind]["id"])

    def grant(self, project: str, user: str, role: str) -> None:
        self.api.call("keystone", "PUT", f"/projects/{project}/users/{user}/roles/{role}")


def identity(api: Api) -> None:
    """Seed users, projects and the catalog."""
    ensure = Identity(api).ensure
    grant = Identity(api).grant
    roles = {name: ensure("role", name) for name in ("service", "admin", "member")}
    people = {"domain_id": "default", "password": PASSWORD}
    service = ensure("project", "service", domain_id="default")
    for name in SERVICE_USERS:
        user = ensure("user", name, **people)
        grant(service, user, roles["admin"])
        grant(service, user, roles["service"])
    grant(ensure("project", "admin"), ensure("user", "quiesce", **people), roles["admin"])
    grant(
        ensure("project", "demo", domain_id="default"),
        ensure("user", "demo", **people),
        roles["member"],
    )
    for name, (kind, _) in CATALOG.items():
        if not api.call("keystone", "GET", f"/services?type={kind}")["services"]:
            catalog_entry(api, name, kind)


def catalog_entry(api: Api, name: str, kind: str) -> None:
    made = api.call("keystone", "POST", "/services", {"service": {"name": name, "type": kind}})
    for interface in ("public", "internal", "admin"):
        endpoint = {
            "service_id": made["service"]["id"],
            "interface": interface,
            "region_id": "RegionOne",
            "url": catalog_url(api.knobs, name),
        }
        api.call("keystone", "POST", "/endpoints", {"endpoint": endpoint})


def image(api: Api) -> None:
    """Seed the image `tiny`: 1 KiB of zeros, enough for hypervisors that boot nothing."""
    if api.call("glance", "GET", "/images?name=tiny")["images"]:
        return
    body = {
        "name": "tiny",
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": "public",
    }
    made = api.call("glance", "POST", "/images", body)
    api.call("glance", "PUT", f"/images/{made['id']}/file", b"\0" * 1024)


def flavors(api: Api) -> None:
    present = {flavor["name"] for flavor in api.call("nova", "GET", "/flavors")["flavors"]}
    for name, ram in FLAVORS:
        if name not in present:
            flavor = {"name": name, "ram": ram, "vcpus": 1, "disk": 1}
            api.call("nova", "POST", "/flavors", {"flavor": flavor})


def network(api: Api) -> None:
    """Seed the shared network `lab-net`; without DHCP, which would wait for an agent."""
    if api.call("neutron", "GET", "/networks?name=lab-net")["networks"]:
        return
    made = api.call(
        "neutron", "POST", "/networks", {"network": {"name": "lab-net", "shared": True}}
    )
    subnet = {
        "name": "lab-subnet",
        "network_id": made["network"]["id"],
        "ip_version": 4,
        "cidr": "10.99.0.0/16",
        "enable_dhcp": False,
        "gateway_ip": None,
    }
    api.call("neutron", "POST", "/subnets", {"subnet": subnet})
