"""PURE. Every request that may be made of a cloud, and what each is for.

All that least-privilege credentials need is made from this table: the access rules of an
application credential (manifests/openstack/access-rules.json), the policies that a role needs
(manifests/openstack/policy), and the table in docs/credentials.md. A request that is not in it
fails the tests.
"""

from dataclasses import dataclass

from quiesce.openstack.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Route:
    """`path`: below the version of the service's API, IDs as `{id}`. `purpose`: what is impossible
    without it, after "to". `policies`: names in the oslo.policy of the service, as of Nova 34,
    Placement 16 and Neutron 29.
    """

    service: Catalog
    method: str
    path: str
    purpose: str
    policies: tuple[str, ...]


def _nova(method: str, path: str, purpose: str, *policies: str) -> Route:
    return Route("compute", method, path, purpose, tuple(f"os_compute_api:{p}" for p in policies))


def _placement(path: str, purpose: str, policy: str) -> Route:
    return Route("placement", "GET", path, purpose, (f"placement:{policy}",))


ROUTES = (
    _nova(
        "GET",
        "/os-services",
        "see whether nova-compute is up, and the host disabled",
        "os-services:list",
    ),
    _nova(
        "PUT",
        "/os-services/{id}",
        "disable the host, and enable it again",
        "os-services:update",
    ),
    _nova(
        "DELETE",
        "/os-services/{id}",
        "delete the service of a host that is empty",
        "os-services:delete",
    ),
    _nova(
        "GET",
        "/os-hypervisors/detail",
        "find the hypervisor of the host, and the addresses of hosts",
        "os-hypervisors:list-detail",
    ),
    _nova(
        "GET",
        "/os-aggregates",
        "record the aggregates of the host",
        "os-aggregates:index",
    ),
    _nova(
        "POST",
        "/os-aggregates/{id}/action",
        "put a host that was deleted back into its aggregates",
        "os-aggregates:add_host",
    ),
    _nova(
        "GET",
        "/os-server-groups",
        "keep to the anti-affinity of servers",
        "os-server-groups:index",
        "os-server-groups:index:all_projects",
    ),
    _nova(
        "GET",
        "/os-migrations",
        "follow the migrations from and to the host",
        "os-migrations:index",
        "os-migrations:index:all_projects",
        "os-migrations:index:host",
    ),
    _nova(
        "GET",
        "/servers/detail",
        "list the servers of the host, whatever project they are of",
        "servers:detail",
        "servers:detail:get_all_tenants",
        "servers:allow_all_filters",
        "servers:show:flavor-extra-specs",
        "os-extended-server-attributes",
    ),
    _nova(
        "GET",
        "/servers/{id}",
        "see how a server is that has left the host",
        "servers:show",
    ),
    _nova(
        "POST",
        "/servers/{id}/action",
        "migrate, confirm, revert, offload and resume servers",
        "os-migrate-server:migrate",
        "os-migrate-server:migrate:host",
        "os-migrate-server:migrate_live",
        "os-migrate-server:migrate_live:host",
        "servers:confirm_resize",
        "servers:revert_resize",
        "os-shelve:shelve_offload",
        "os-suspend-server:resume",
    ),
    _nova(
        "GET",
        "/servers/{id}/diagnostics",
        "ask the hypervisor whether a guest runs, before its move is confirmed",
        "os-server-diagnostics",
    ),
    _nova(
        "GET",
        "/servers/{id}/migrations",
        "see whether a slow live migration makes progress",
        "servers:migrations:index",
    ),
    _nova(
        "DELETE",
        "/servers/{id}/migrations/{id}",
        "abort a live migration that takes too long",
        "servers:migrations:delete",
    ),
    _nova(
        "POST",
        "/servers/{id}/migrations/{id}/action",
        "complete a live migration that takes too long by force",
        "servers:migrations:force_complete",
    ),
    _nova(
        "GET",
        "/servers/{id}/os-instance-actions",
        "find the cause of a failed migration, and who stopped or confirmed a server",
        "os-instance-actions:list",
    ),
    _nova(
        "GET",
        "/servers/{id}/os-instance-actions/{id}",
        "read the cause of a failed migration",
        "os-instance-actions:show",
        "os-instance-actions:events",
        "os-instance-actions:events:details",
    ),
    _placement(
        "/resource_providers",
        "find the host in Placement",
        "resource_providers:list",
    ),
    _placement(
        "/resource_providers/{id}/allocations",
        "prove that nothing is held on the host",
        "resource_providers:allocations:list",
    ),
    _placement(
        "/allocation_candidates",
        "plan: which other hosts have capacity",
        "allocation_candidates:list",
    ),
    Route(
        "network",
        "GET",
        "/ports",
        "check the ports of a server that has moved",
        ("get_port", "get_port:binding:host_id", "get_port:binding:vif_type"),
    ),
    Route(
        "block_storage",
        "GET",
        "/volumes/{id}",
        "see whether a volume is encrypted",
        ("volume:get",),
    ),
    Route(
        "image",
        "GET",
        "/images/{id}",
        "read properties of images that Nova does not show before microversion 2.98",
        ("get_image",),
    ),
    Route(
        "image",
        "GET",
        "/images",
        "see whether a shelved server has an image, before its disk is deleted",
        ("get_images",),
    ),
)

_BY_CALL = {(each.service, each.method, each.path): each for each in ROUTES}
_PATHS = frozenset(each.path for each in ROUTES)
_WORDS = frozenset(part for known in _PATHS for part in known.split("/"))


def route(path: str) -> str:
    """A path without its ids, for metrics: `/servers/6f…/action` -> `/servers/{id}/action`.

    One of those that Quiesce uses, or `other`: a cloud's answers make no new ones.
    """
    parts = path.partition("?")[0].split("/")
    found = "/".join(part if part in _WORDS else "{id}" for part in parts)
    return found if found in _PATHS else "other"


def find_route(service: Catalog, method: str, path: str) -> Route | None:
    """The row of a request; None: there is none."""
    return _BY_CALL.get((service, method, route(path)))
