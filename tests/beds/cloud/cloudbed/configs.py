"""Render the configuration files of all services into the run folder."""

from collections.abc import Mapping
from pathlib import Path

from .rest import CATALOG
from .settings import LOOPBACK, PASSWORD, Knobs, Paths

Ini = dict[str, dict[str, object]]


def rendered(sections: Mapping[str, Mapping[str, object]]) -> str:
    lines: list[str] = []
    for name, options in sections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {value}" for key, value in options.items()]
    return "\n".join(lines) + "\n"


def write_ini(path: Path, sections: Mapping[str, Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rendered(sections))


def database_url(paths: Paths, database: str) -> str:
    return f"mysql+pymysql://os:{PASSWORD}@localhost/{database}?unix_socket={paths.socket}"


def transport_url(knobs: Knobs) -> str:
    return f"rabbit://guest:guest@{LOOPBACK}:{knobs.port('rabbitmq')}/"


def service_credentials(knobs: Knobs, user: str) -> dict[str, object]:
    return {
        "auth_url": f"http://{LOOPBACK}:{knobs.port('keystone')}/v3",
        "auth_type": "password",
        "username": user,
        "password": PASSWORD,
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
        "region_name": "RegionOne",
    }


def token_check(knobs: Knobs, user: str) -> dict[str, object]:
    """Without `service_type` a service rejects every credential that has access rules."""
    return {
        "www_authenticate_uri": f"http://{LOOPBACK}:{knobs.port('keystone')}/v3",
        "service_type": CATALOG[user][0],
        "token_cache_time": 300,
        **service_credentials(knobs, user),
    }


def policy(paths: Paths, service: str) -> dict[str, object]:
    """A file without rules at first; a service reads it again when it changes."""
    return {"policy_file": paths.run / "etc" / service / "policy.yaml"}


def keystone(paths: Paths) -> Ini:
    return {
        "DEFAULT": {"log_file": paths.log / "keystone.log"},
        "database": {"connection": database_url(paths, "keystone")},
        "token": {"expiration": 86400},
        # The cheapest bcrypt: checking passwords is most of Keystone's work in a cloud this young.
        "identity": {"password_hash_rounds": 4},
        "fernet_tokens": {"key_repository": paths.run / "fernet-keys"},
        "credential": {"key_repository": paths.run / "credential-keys"},
        "cache": {"enabled": "true", "backend": "oslo_cache.dict"},
    }


def placement(paths: Paths, knobs: Knobs) -> Ini:
    return {
        "DEFAULT": {"log_file": paths.log / "placement.log"},
        "placement_database": {"connection": database_url(paths, "placement")},
        "api": {"auth_strategy": "keystone"},
        "keystone_authtoken": token_check(knobs, "placement"),
        "oslo_policy": policy(paths, "placement"),
    }


def glance(paths: Paths, knobs: Knobs) -> Ini:
    images = paths.run / "images"
    return {
        "DEFAULT": {
            "log_file": paths.log / "glance.log",
            "enabled_backends": "fs:file",
            "enabled_import_methods": "[]",
        },
        "database": {"connection": database_url(paths, "glance")},
        "glance_store": {"default_backend": "fs"},
        "fs": {"filesystem_store_datadir": images},
        "os_glance_staging_store": {"filesystem_store_datadir": images / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": images / "tasks"},
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": paths.venv / "etc/glance/glance-api-paste.ini",
        },
        "oslo_concurrency": {"lock_path": paths.run / "lock"},
        "keystone_authtoken": token_check(knobs, "glance"),
        "oslo_policy": policy(paths, "glance"),
    }


def neutron(paths: Paths, knobs: Knobs) -> Ini:
    return {
        "DEFAULT": {
            "log_file": paths.log / "neutron.log",
            "state_path": paths.run / "state/neutron",
            "transport_url": transport_url(knobs),
            "core_plugin": "ml2",
            "service_plugins": "",
            "auth_strategy": "keystone",
            "notify_nova_on_port_status_changes": "false",
            "notify_nova_on_port_data_changes": "false",
            "api_paste_config": paths.venv / "etc/neutron/api-paste.ini",
        },
        "database": {"connection": database_url(paths, "neutron")},
        "ml2": {
            "type_drivers": "local",
            "tenant_network_types": "local",
            "mechanism_drivers": "labports",
            "extension_drivers": "",
        },
        "labports": {"vif_type": knobs.vif_type},
        "oslo_concurrency": {"lock_path": paths.run / "lock"},
        "keystone_authtoken": token_check(knobs, "neutron"),
        "oslo_policy": policy(paths, "neutron"),
    }


def nova(paths: Paths, knobs: Knobs) -> Ini:
    unlimited = ("instances", "cores", "ram", "server_groups", "server_group_members")
    clients = {
        "placement": "placement",
        "neutron": "neutron",
        "glance": "glance",
        "cinder": "nova",
    }
    return {
        "DEFAULT": {
            "my_ip": LOOPBACK,
            "transport_url": transport_url(knobs),
            "state_path": paths.run / "state/nova",
            "use_rootwrap_daemon": "false",
            "concurrency_backend": "threading",
            # Of the API as a daemon, which older releases are run with.
            "osapi_compute_listen": LOOPBACK,
            "osapi_compute_listen_port": knobs.port("nova"),
            "osapi_compute_workers": 2,
            "report_interval": knobs.report_interval,
            "service_down_time": knobs.service_down_time,
            "max_concurrent_live_migrations": knobs.max_live_migrations,
            # Nova's default of 0 turns SHELVED into SHELVED_OFFLOADED at once.
            "shelved_offload_time": -1,
            # The first host discovery at once, not at a random moment of the first minute.
            "periodic_fuzzy_delay": 0,
            "resize_confirm_window": 0,
            "allow_resize_to_same_host": "false",
        },
        # No agent tells Nova that a port is plugged on the destination; as with some SDN backends.
        "compute": {"live_migration_wait_for_vif_plug": "false"},
        "api_database": {"connection": database_url(paths, "nova_api")},
        "database": {"connection": database_url(paths, "nova_cell0")},
        "quota": dict.fromkeys(unlimited, -1),
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 5},
        "wsgi": {
            "api_paste_config": paths.nova_venv / "etc/nova/api-paste.ini",
            "keep_alive": "false",
        },
        "vnc": {"enabled": "false"},
        **{section: service_credentials(knobs, user) for section, user in clients.items()},
        "service_user": {"send_service_user_token": "true", **service_credentials(knobs, "nova")},
        "oslo_concurrency": {"lock_path": paths.run / "lock"},
        "notifications": {
            "notification_format": "versioned",
            "notify_on_state_change": "vm_and_task_state",
        },
        "oslo_messaging_notifications": {"driver": knobs.notify_driver},
        "keystone_authtoken": token_check(knobs, "nova"),
        "oslo_policy": policy(paths, "nova"),
    }


def nova_compute(paths: Paths, knobs: Knobs, host: str) -> Ini:
    """Return what one compute has on top of nova.conf; the node's UUID lives in state_path."""
    state = paths.run / "state" / host
    return {
        "DEFAULT": {
            "host": host,
            "state_path": state,
            "log_file": paths.log / f"nova-compute-{host}.log",
            "compute_driver": "drainfake.DrainFakeDriver",
        },
        "drainfake": {
            "fault_file": paths.faults,
            "vcpus": knobs.compute_vcpus,
            "memory_mb": knobs.compute_memory_mb,
            "local_gb": knobs.compute_disk_gb,
        },
        "oslo_concurrency": {"lock_path": state / "lock"},
    }


def write_compute(paths: Paths, knobs: Knobs, host: str) -> None:
    (paths.run / "state" / host).mkdir(parents=True, exist_ok=True)
    write_ini(paths.run / "etc/compute" / f"{host}.conf", nova_compute(paths, knobs, host))


def write_clouds(paths: Paths, knobs: Knobs) -> None:
    """Write clouds.yaml: `lab` (admin), `operator` (another admin), `lab-demo` (plain member)."""
    entries = (
        ("lab", "admin", "admin"),
        ("operator", "quiesce", "admin"),
        ("lab-demo", "demo", "demo"),
    )
    lines = ["clouds:"]
    for cloud, user, project in entries:
        lines += [
            f"  {cloud}:",
            "    auth:",
            f"      auth_url: http://{LOOPBACK}:{knobs.port('keystone')}/v3",
            f"      username: {user}",
            f"      password: {PASSWORD}",
            f"      project_name: {project}",
            "      user_domain_id: default",
            "      project_domain_id: default",
            "    region_name: RegionOne",
            "    identity_api_version: 3",
        ]
    paths.clouds.write_text("\n".join(lines) + "\n")


def write_entry_points(paths: Paths) -> None:
    """Make Neutron's driver loader (stevedore) find `labports` without installing a package."""
    info = paths.run / "etc/neutron/plugins/labports-1.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: labports\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[neutron.ml2.mechanism_drivers]\nlabports = labports:LabPortsDriver\n"
    )


def write_all(paths: Paths, knobs: Knobs) -> None:
    """Write every configuration file and clouds.yaml, and the folders they name."""
    for folder in ("lock", "images", "fernet-keys", "credential-keys", "state/nova", "cache"):
        (paths.run / folder).mkdir(parents=True, exist_ok=True)
    etc = paths.run / "etc"
    write_ini(etc / "keystone/keystone.conf", keystone(paths))
    write_ini(etc / "placement/placement.conf", placement(paths, knobs))
    write_ini(etc / "glance/glance-api.conf", glance(paths, knobs))
    write_ini(etc / "neutron/neutron.conf", neutron(paths, knobs))
    write_ini(etc / "nova/nova.conf", nova(paths, knobs))
    for service in ("placement", "glance", "neutron", "nova"):
        rules = etc / service / "policy.yaml"
        if not rules.exists():
            rules.write_text("{}\n")
    # The conductor works on the cell's database itself; the others find it by its mapping.
    write_ini(
        etc / "nova/cell1.conf", {"database": {"connection": database_url(paths, "nova_cell1")}}
    )
    write_entry_points(paths)
    write_clouds(paths, knobs)
    for host in knobs.hosts():
        write_compute(paths, knobs, host)
    if not paths.faults.exists():
        paths.faults.write_text("{}\n")
