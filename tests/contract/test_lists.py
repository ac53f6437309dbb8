"""Lists: fields, filters, paging, and what a time filter leaves out."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.contract.lab import Json, Lab

SERVER = {
    "OS-DCF:diskConfig",
    "OS-EXT-AZ:availability_zone",
    "OS-EXT-SRV-ATTR:host",
    "OS-EXT-SRV-ATTR:hostname",
    "OS-EXT-SRV-ATTR:hypervisor_hostname",
    "OS-EXT-SRV-ATTR:instance_name",
    "OS-EXT-SRV-ATTR:kernel_id",
    "OS-EXT-SRV-ATTR:launch_index",
    "OS-EXT-SRV-ATTR:ramdisk_id",
    "OS-EXT-SRV-ATTR:reservation_id",
    "OS-EXT-SRV-ATTR:root_device_name",
    "OS-EXT-SRV-ATTR:user_data",
    "OS-EXT-STS:power_state",
    "OS-EXT-STS:task_state",
    "OS-EXT-STS:vm_state",
    "OS-SRV-USG:launched_at",
    "OS-SRV-USG:terminated_at",
    "accessIPv4",
    "accessIPv6",
    "addresses",
    "config_drive",
    "created",
    "description",
    "flavor",
    "hostId",
    "host_status",
    "id",
    "image",
    "key_name",
    "links",
    "locked",
    "locked_reason",
    "metadata",
    "name",
    "os-extended-volumes:volumes_attached",
    "progress",
    "security_groups",
    "status",
    "tags",
    "tenant_id",
    "trusted_image_certificates",
    "updated",
    "user_id",
}
MIGRATION = {
    "created_at",
    "dest_compute",
    "dest_host",
    "dest_node",
    "id",
    "instance_uuid",
    "migration_type",
    "new_instance_type_id",
    "old_instance_type_id",
    "source_compute",
    "source_node",
    "status",
    "updated_at",
    "uuid",
}  # fmt: skip
HYPERVISOR = {
    "host_ip",
    "hypervisor_hostname",
    "hypervisor_type",
    "hypervisor_version",
    "id",
    "service",
    "state",
    "status",
}
HYPERVISOR_OF_ITS_TIME = {  # what 2.88 took out, and put in
    False: {
        "cpu_info",
        "current_workload",
        "disk_available_least",
        "free_disk_gb",
        "free_ram_mb",
        "local_gb",
        "local_gb_used",
        "memory_mb",
        "memory_mb_used",
        "running_vms",
        "vcpus",
        "vcpus_used",
    },
    True: {"uptime"},
}
NEWEST = {21: "2.87", 29: "2.96", 34: "2.104"}  # the newest microversion, by Nova's release
MEMBER = SERVER - {field for field in SERVER if "SRV-ATTR" in field} - {"host_status"} | {
    "OS-EXT-SRV-ATTR:hostname"
}


@dataclass(frozen=True)
class Moved:
    """Three servers: one stays, one is VERIFY_RESIZE on the spare host, one went there live."""

    stayed: str
    cold: str
    live: str


@pytest.fixture(scope="module")
def moved(cloud: Lab) -> Iterator[Moved]:
    with cloud.case():
        servers = Moved(*cloud.many({} for _ in range(3)))
        cloud.migrate(servers.cold)
        cloud.migrate_live(servers.live)
        cloud.settled(servers.cold, "VERIFY_RESIZE")
        cloud.until(servers.live, "completed")
        yield servers


def servers(nova: Lab, query: str, **options: Any) -> dict[str, Json]:
    rows = nova.get(f"/servers/detail?all_tenants=1&{query}", "servers", **options)
    return {row["id"]: row for row in rows}


def migrations(nova: Lab, query: str) -> list[Json]:
    rows: list[Json] = nova.get(f"/os-migrations?{query}", "migrations")
    return rows


@pytest.mark.parametrize(
    ("version", "added"),
    [
        ("2.80", set()),
        ("2.90", set()),
        ("2.96", {"pinned_availability_zone"}),
        ("2.100", {"pinned_availability_zone", "scheduler_hints"}),
    ],
)
def test_server_fields(nova: Lab, moved: Moved, version: str, added: set[str]) -> None:
    """A list has all but `server_groups`; an image's properties came with 2.98.

    406 from a Nova that is older than that.
    """
    if not nova.speaks(version):
        assert nova.api("GET", f"/servers/{moved.stayed}", version=version).status == 406
        return
    row = servers(nova, f"uuid={moved.stayed}", version=version)[moved.stayed]
    assert set(row) == SERVER | added
    shown = nova.get(f"/servers/{moved.stayed}", "server", version=version)
    assert set(shown) == SERVER | added | {"server_groups"}
    assert ("properties" in row["image"]) == (version == "2.100")
    assert set(row["flavor"]) == {
        "disk",
        "ephemeral",
        "extra_specs",
        "original_name",
        "ram",
        "swap",
        "vcpus",
    }


def test_migration_fields(nova: Lab, moved: Moved) -> None:
    """dest_host is an address of a cold move's destination; a live one has none."""
    cold, live = (
        migrations(nova, f"instance_uuid={server}")[0] for server in (moved.cold, moved.live)
    )
    for row in (cold, live):
        assert set(row) == MIGRATION | {"user_id", "project_id"}
        assert row["source_compute"] == nova.source
        assert row["dest_compute"] == nova.spare
    assert (cold["migration_type"], live["migration_type"]) == ("migration", "live-migration")
    assert cold["dest_host"]
    assert live["dest_host"] is None
    older = nova.get(f"/os-migrations?instance_uuid={moved.cold}", "migrations", version="2.79")
    assert set(older[0]) == MIGRATION


def test_the_initiator(nova: Lab, moved: Moved) -> None:
    """user_id is who asked for the move, not who owns the server."""
    me = nova.connection("operator").current_user_id
    owner = nova.connection("lab").current_user_id
    assert me != owner
    assert {row["user_id"] for row in migrations(nova, f"instance_uuid={moved.cold}")} == {me}
    assert moved.cold in {row["instance_uuid"] for row in migrations(nova, f"user_id={me}")}
    assert moved.cold not in {row["instance_uuid"] for row in migrations(nova, f"user_id={owner}")}


def test_servers_by_host(nova: Lab, moved: Moved) -> None:
    """The host filter is exact, and a server that waits for a confirmation is on the
    destination.
    """
    here, there = servers(nova, f"host={nova.source}"), servers(nova, f"host={nova.spare}")
    assert moved.stayed in here
    assert {moved.cold, moved.live} <= set(there)
    assert {row["OS-EXT-SRV-ATTR:host"] for row in here.values()} == {nova.source}
    assert servers(nova, f"host={nova.source[:-1]}") == {}
    assert moved.stayed in servers(nova, f"host={nova.source}&soft_deleted=true")


def test_servers_by_status(nova: Lab, moved: Moved) -> None:
    """`status` can be repeated; an unknown one is 400."""
    found = servers(nova, "status=VERIFY_RESIZE")
    assert moved.cold in found
    assert {row["status"] for row in found.values()} == {"VERIFY_RESIZE"}
    assert {moved.cold, moved.stayed} <= set(servers(nova, "status=VERIFY_RESIZE&status=ACTIVE"))
    answer = nova.api("GET", "/servers/detail?all_tenants=1&status=NONSENSE")
    assert (answer.status, answer.message) == (400, "Invalid status value")


def test_only_the_last_of_a_repeated_uuid_counts(nova: Lab, moved: Moved) -> None:
    assert set(servers(nova, f"uuid={moved.stayed}&uuid={moved.live}")) == {moved.live}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/servers/detail", "'nonsense' does not match any of the regexes: '^_'"),
        ("/os-migrations", "Additional properties are not allowed ('nonsense' was unexpected)"),
        ("/os-services", "Additional properties are not allowed ('nonsense' was unexpected)"),
        (
            "/os-hypervisors/detail",
            "Additional properties are not allowed ('nonsense' was unexpected)",
        ),
    ],
)
def test_unknown_filter(nova: Lab, path: str, words: str) -> None:
    answer = nova.api("GET", f"{path}?nonsense=1")
    assert (answer.status, answer.message) == (400, words)


def test_servers_in_pages(nova: Lab, moved: Moved) -> None:
    """A full page has a link, which may lead to an empty page; newest first."""
    seen: list[Json] = []
    path = "/servers/detail?all_tenants=1&limit=2"
    while path:
        body = nova.get(path)
        seen += body["servers"]
        assert ("servers_links" in body) == (len(body["servers"]) == 2)
        link = body.get("servers_links", [{"href": ""}])[0]["href"]
        path = link[link.index("/servers/detail") :] if link else ""
    identities = [row["id"] for row in seen]
    assert {moved.stayed, moved.cold, moved.live} <= set(identities)
    assert len(set(identities)) == len(identities)
    created = [row["created"] for row in seen]
    assert created == sorted(created, reverse=True)


def test_migrations_in_pages(nova: Lab, moved: Moved) -> None:
    """The marker is a migration's uuid, not its id."""
    newest = migrations(nova, "limit=1")
    assert len(newest) == 1
    following = migrations(nova, f"limit=1&marker={newest[0]['uuid']}")
    assert following[0]["id"] < newest[0]["id"]
    link = nova.get("/os-migrations?limit=1")["migrations_links"][0]
    assert link["rel"] == "next"
    assert link["href"].endswith(f"/os-migrations?limit=1&marker={newest[0]['uuid']}")
    answer = nova.api("GET", f"/os-migrations?limit=1&marker={newest[0]['id']}")
    assert (answer.status, answer.message) == (400, f"Marker {newest[0]['id']} could not be found.")


def test_a_marker_that_is_gone(nova: Lab) -> None:
    missing = "00000000-0000-4000-8000-000000000000"
    answer = nova.api("GET", f"/servers/detail?all_tenants=1&marker={missing}")
    assert (answer.status, answer.message) == (400, f"marker [{missing}] not found")


def test_migrations_by_host(nova: Lab, moved: Moved) -> None:
    """`host` is either end, `source_compute` one, and `host` wins."""
    for query, expected in (
        (f"host={nova.source}", True),
        (f"host={nova.spare}", True),
        (f"source_compute={nova.source}", True),
        (f"source_compute={nova.spare}", False),
        (f"host={nova.spare}&source_compute=nope", True),
    ):
        found = {row["instance_uuid"] for row in migrations(nova, query)}
        assert (moved.cold in found) == expected, query


def test_migrations_by_status(nova: Lab, moved: Moved) -> None:
    """One status: of a repeated one the last counts; a type is filtered by, too."""
    for query, expected in (
        ("status=finished", True),
        ("status=completed", False),
        ("status=completed&status=finished", True),
        ("status=finished&status=completed", False),
        ("migration_type=migration", True),
        ("migration_type=live-migration", False),
    ):
        found = {row["instance_uuid"] for row in migrations(nova, query)}
        assert (moved.cold in found) == expected, query


def test_changes_since(nova: Lab, moved: Moved) -> None:
    """Times are whole seconds, and the filter takes what is as old or younger."""
    row = migrations(nova, f"instance_uuid={moved.cold}")[0]
    assert row["updated_at"].endswith(".000000")
    found = migrations(nova, f"changes-since={row['updated_at']}")
    assert row["uuid"] in {other["uuid"] for other in found}
    assert all(other["updated_at"] >= row["updated_at"] for other in found)
    answer = nova.api("GET", "/os-migrations?changes-since=yesterday")
    assert answer.status == 400


def test_changes_since_shows_deleted_servers(nova: Lab) -> None:
    """With status DELETED; one that left a host is not among those of that host."""
    server = nova.server()
    since = nova.show(server)["updated"]
    nova.delete(server)
    found = servers(nova, f"changes-since={since}")
    assert found[server]["status"] == "DELETED"
    assert server not in servers(nova, "")


@pytest.mark.parametrize("way", ["build", "cold", "live"])
def test_a_server_that_comes_to_a_host_is_changed(nova: Lab, way: str) -> None:
    """Since Nova's time, as the reports of services tell it; and it is shown with its new host."""
    server = "" if way == "build" else nova.active()
    services = nova.get("/os-services?binary=nova-compute", "services")
    since = max(row["updated_at"] for row in services if row["updated_at"])
    if way == "build":
        server = nova.active()
    elif way == "cold":
        nova.migrate(server)
        nova.settled(server, "VERIFY_RESIZE")
    else:
        nova.migrate_live(server)
        nova.until(server, "completed")
    host = nova.source if way == "build" else nova.spare
    assert servers(nova, f"changes-since={since}")[server]["OS-EXT-SRV-ATTR:host"] == host


def test_a_record_never_changed_is_not_changed_since(nova: Lab) -> None:
    """The first state of a live migration's record has updated_at null, and no time filter finds
    it.
    """
    server = nova.active(metadata={"fault.check_can_live_migrate_destination": "sleep:4"})
    nova.migrate_live(server)
    row = nova.until(server, "accepted")
    assert row["updated_at"] is None
    found = migrations(nova, "changes-since=2000-01-01T00:00:00Z")
    assert row["uuid"] not in {other["uuid"] for other in found}
    nova.until(server, "completed")


def test_hypervisors(nova: Lab, moved: Moved) -> None:
    """The pattern matches anywhere; the address and the service's host come with details."""
    rows = nova.get(
        f"/os-hypervisors/detail?hypervisor_hostname_pattern={nova.source[:-1]}", "hypervisors"
    )
    by_host = {row["service"]["host"]: row for row in rows}
    assert {nova.source, nova.spare} <= set(by_host)
    assert set(by_host[nova.source]) == HYPERVISOR | HYPERVISOR_OF_ITS_TIME[nova.speaks("2.88")]
    assert by_host[nova.source]["id"] == nova.provider(nova.source)
    path = f"/os-hypervisors/{nova.provider(nova.source)}?with_servers=true"
    names = nova.get(path, "hypervisor")["servers"]
    assert moved.stayed in {row["uuid"] for row in names}
    answer = nova.api("GET", "/os-hypervisors?hypervisor_hostname_pattern=nonsense")
    assert (answer.status, answer.message) == (
        404,
        "No hypervisor matching 'nonsense' could be found.",
    )


def test_hypervisors_in_pages(nova: Lab) -> None:
    path = "/os-hypervisors/detail"
    whole = nova.get(path)["hypervisors"]
    first = nova.get(f"{path}?limit=1")
    assert [row["id"] for row in first["hypervisors"]] == [whole[0]["id"]]
    link = first["hypervisors_links"][0]["href"]
    assert link.endswith(f"{path}?limit=1&marker={whole[0]['id']}")
    following = nova.get(f"{path}?limit={len(whole)}&marker={whole[0]['id']}")
    assert [row["id"] for row in following["hypervisors"]] == [row["id"] for row in whole[1:]]


def test_groups_and_flavors(nova: Lab) -> None:
    """A group shows its members to an admin who asks for all projects."""
    made = nova.api(
        "POST",
        "/os-server-groups",
        {"server_group": {"name": nova.prefix, "policy": "anti-affinity"}},
    )
    group = made.body["server_group"]["id"]
    server = nova.active(group=group)
    rows = nova.get("/os-server-groups?all_projects=true", "server_groups", user="lab")
    found = next(row for row in rows if row["id"] == group)
    assert (found["members"], found["policy"], found["rules"]) == ([server], "anti-affinity", {})
    assert nova.show(server)["server_groups"] == [group]
    assert nova.show(server).get("scheduler_hints") == (
        {"group": [group]} if nova.speaks("2.100") else None
    )


def test_microversions(nova: Lab) -> None:
    """The server's range is in its version document; a version outside it is 406."""
    version = nova.get("/", "version", version="2.1")
    newest = NEWEST[nova.version[0]]
    assert (version["min_version"], version["version"]) == ("2.1", newest)
    adapter = nova.connection("operator").compute
    headers = {"OpenStack-API-Version": "compute 2.999"}
    answer = adapter.request("/os-services", "GET", headers=headers, raise_exc=False)
    assert answer.status_code == 406
    text = answer.json()["computeFault"]["message"]
    assert (
        text
        == f"Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is {newest}."
    )
    spoken = adapter.request("/os-services", "GET", microversion="2.80", raise_exc=False)
    assert spoken.headers["OpenStack-API-Version"] == "compute 2.80"


def test_a_token_that_is_none(nova: Lab) -> None:
    """401, which makes a client sign in again; by every service."""
    for service, path in (
        ("compute", "/os-services"),
        ("placement", "/resource_providers"),
        ("network", "/ports"),
    ):
        adapter = getattr(nova.connection("operator"), service)
        headers = {"X-Auth-Token": "nonsense"}
        answer = adapter.request(path, "GET", headers=headers, raise_exc=False, authenticated=False)
        assert answer.status_code == 401, service
        assert (
            answer.json()["error"]["message"]
            == "The request you have made requires authentication."
        )


def test_allocations(nova: Lab, moved: Moved) -> None:
    """Consumers are servers and migrations, each with what it holds; their type, since
    1.38, does not tell which.
    """
    held = nova.held(nova.spare)
    assert held[moved.live]["resources"] == {"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 1}
    migration = nova.migration(moved.cold)
    waiting = nova.get(f"/allocations/{migration['uuid']}", service="placement")
    assert set(waiting["allocations"]) == {nova.provider(nova.source)}
    stayed = nova.get(f"/allocations/{moved.stayed}", service="placement")
    assert set(stayed["allocations"]) == {nova.provider(nova.source)}
    assert {waiting.get("consumer_type"), stayed.get("consumer_type")} == {
        "unknown" if nova.speaks("1.38", "placement") else None
    }
    gone = nova.get("/allocations/00000000-0000-4000-8000-000000000000", service="placement")
    assert gone == {"allocations": {}}


def test_providers(nova: Lab) -> None:
    """One per host, by its name; an unknown name is an empty list, an unknown id 404."""
    provider = nova.provider(nova.source)
    rows = nova.get(
        f"/resource_providers?in_tree={provider}", "resource_providers", service="placement"
    )
    assert [row["uuid"] for row in rows] == [provider]
    assert nova.get("/resource_providers?name=nonsense", service="placement") == {
        "resource_providers": []
    }
    inventories = nova.get(
        f"/resource_providers/{provider}/inventories", "inventories", service="placement"
    )
    assert set(inventories) == {"VCPU", "MEMORY_MB", "DISK_GB"}
    keys = {"allocation_ratio", "max_unit", "min_unit", "reserved", "step_size", "total"}
    assert set(inventories["VCPU"]) == keys
    missing = "00000000-0000-4000-8000-000000000000"
    answer = nova.api("GET", f"/resource_providers/{missing}/allocations", service="placement")
    assert answer.status == 404
    assert f"'{missing}'" in answer.message or missing in answer.message


def test_candidates(nova: Lab) -> None:
    """Capacity and use per provider, without the disabled ones when they are ruled out."""
    query = "resources=VCPU:1,MEMORY_MB:64,DISK_GB:1&root_required=!COMPUTE_STATUS_DISABLED"
    body = nova.get(f"/allocation_candidates?{query}", service="placement")
    summary = body["provider_summaries"][nova.provider(nova.source)]
    assert set(summary["resources"]["MEMORY_MB"]) == {"capacity", "used"}
    request = body["allocation_requests"][0]["allocations"]
    assert next(iter(request.values()))["resources"] == {"VCPU": 1, "MEMORY_MB": 64, "DISK_GB": 1}
    huge = nova.get("/allocation_candidates?resources=VCPU:100000", service="placement")
    assert (huge["allocation_requests"], huge["provider_summaries"]) == ([], {})
