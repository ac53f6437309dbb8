"""The databases: made by the services' own tools once, restored from a dump afterwards."""

import grp
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .backing import sql, user
from .configs import database_url, transport_url
from .errors import BedError
from .packages import run_logged
from .processes import clean_environment
from .rest import CATALOG, catalog_url
from .settings import HERE, PASSWORD, Knobs, Paths

DATABASES = ("keystone", "placement", "glance", "neutron", "nova_api", "nova_cell0", "nova_cell1")


def restore(paths: Paths) -> bool:
    """Restore the dump of freshly seeded databases; return whether there was one."""
    dump = paths.golden / "databases.sql"
    if not dump.exists():
        return False
    if not sql(paths, dump.read_text()):
        raise BedError(
            f"restoring {dump} failed; see {paths.log / 'sql.out'}, "
            "then run `cloud down --purge` and `cloud up`"
        )
    for folder in ("fernet-keys", "images"):
        shutil.copytree(paths.golden / folder, paths.run / folder, dirs_exist_ok=True)
    return True


def dump(paths: Paths) -> None:
    """Keep the freshly seeded databases; the dump appears under its name only when complete."""
    with tempfile.TemporaryDirectory(prefix="new-golden-", dir=paths.kept) as folder:
        half_made = Path(folder) / "golden"
        half_made.mkdir()
        log = paths.log / "dump.out"
        program = [paths.bin("python"), str(HERE / "plugins/dump_databases.py")]
        output = str(half_made / "databases.sql")
        if not run_logged([*program, str(paths.socket), output, *DATABASES], log):
            raise BedError(f"the databases could not be dumped; see {log}")
        for name in ("fernet-keys", "images"):
            shutil.copytree(paths.run / name, half_made / name)
        for outdated in paths.kept.glob("golden-*"):
            shutil.rmtree(outdated, ignore_errors=True)
        half_made.rename(paths.golden)


def create_user(paths: Paths) -> None:
    sql(
        paths,
        f"CREATE USER IF NOT EXISTS os@localhost IDENTIFIED BY '{PASSWORD}';"
        "GRANT ALL ON *.* TO os@localhost;",
    )


def create(paths: Paths, knobs: Knobs) -> None:
    """Make all schemas with the services' own tools, in parallel where they are independent."""
    sql(paths, "".join(f"CREATE OR REPLACE DATABASE {name};" for name in DATABASES))
    chains: dict[str, Callable[[Paths, Knobs], list[list[str]]]] = {
        "keystone": keystone_steps,
        "placement-glance": placement_glance_steps,
        "neutron": neutron_steps,
        "nova": nova_steps,
        "nova-cell1": nova_cell_steps,
    }
    with ThreadPoolExecutor(len(chains)) as pool:
        done = [
            pool.submit(run_chain, paths, name, steps(paths, knobs))
            for name, steps in chains.items()
        ]
    for future in done:
        future.result()


def run_chain(paths: Paths, name: str, steps: list[list[str]]) -> None:
    log = paths.log / f"schema-{name}.out"
    for step in steps:
        env = clean_environment(paths.run) | {"OS_NOVA_DISABLE_EVENTLET_PATCHING": "1"}
        if not run_logged(step, log, env):
            raise BedError(f"`{' '.join(step)}` failed; see {log}")


def keystone_steps(paths: Paths, knobs: Knobs) -> list[list[str]]:
    manage = [paths.bin("keystone-manage"), "--config-dir", str(paths.run / "etc/keystone")]
    url = catalog_url(knobs, "keystone")
    urls = [
        word
        for kind in ("admin", "internal", "public")
        for word in (f"--bootstrap-{kind}-url", url)
    ]
    group = grp.getgrgid(os.getegid()).gr_name
    owner = ["--keystone-user", user(), "--keystone-group", group]
    return [
        [*manage, "db_sync"],
        [*manage, "fernet_setup", *owner],
        [
            *manage,
            "bootstrap",
            "--bootstrap-password",
            PASSWORD,
            "--bootstrap-region-id",
            "RegionOne",
            *urls,
        ],
    ]


def placement_glance_steps(paths: Paths, knobs: Knobs) -> list[list[str]]:
    etc = paths.run / "etc"
    return [
        [paths.nova_bin("placement-manage"), "--config-dir", str(etc / "placement"), "db", "sync"],
        [paths.bin("glance-manage"), "--config-dir", str(etc / "glance"), "db_sync"],
    ]


def neutron_steps(paths: Paths, knobs: Knobs) -> list[list[str]]:
    config = str(paths.run / "etc/neutron/neutron.conf")
    return [[paths.bin("neutron-db-manage"), "--config-file", config, "upgrade", "heads"]]


def nova_steps(paths: Paths, knobs: Knobs) -> list[list[str]]:
    """Return the steps for the API database and cell0, which is what [database] names."""
    manage = [paths.nova_bin("nova-manage"), "--config-file", str(paths.run / "etc/nova/nova.conf")]
    cell1 = [
        "--name",
        "cell1",
        "--database_connection",
        database_url(paths, "nova_cell1"),
        "--transport-url",
        transport_url(knobs),
    ]
    return [
        [*manage, "api_db", "sync"],
        [
            *manage,
            "cell_v2",
            "map_cell0",
            "--database_connection",
            database_url(paths, "nova_cell0"),
        ],
        [*manage, "cell_v2", "create_cell", *cell1],
        [*manage, "db", "sync"],
    ]


def nova_cell_steps(paths: Paths, knobs: Knobs) -> list[list[str]]:
    etc = paths.run / "etc/nova"
    configs = ["--config-file", str(etc / "nova.conf"), "--config-file", str(etc / "cell1.conf")]
    return [[paths.nova_bin("nova-manage"), *configs, "db", "sync", "--local_cell"]]


def relocate(paths: Paths, knobs: Knobs) -> None:
    """Write this cloud's own ports and socket where databases hold them (catalog, cells)."""
    statements = [
        "UPDATE keystone.endpoint e JOIN keystone.service s ON s.id = e.service_id"
        f" SET e.url = '{catalog_url(knobs, name)}' WHERE s.type = '{kind}';"
        for name, (kind, _) in CATALOG.items()
    ]
    for cell in ("cell0", "cell1"):
        url = database_url(paths, f"nova_{cell}")
        statements.append(
            f"UPDATE nova_api.cell_mappings SET database_connection = '{url}'"
            f" WHERE name = '{cell}';"
        )
    statements.append(
        f"UPDATE nova_api.cell_mappings SET transport_url = '{transport_url(knobs)}'"
        " WHERE name = 'cell1';"
    )
    if not sql(paths, "\n".join(statements)):
        raise BedError(
            f"the databases do not look like a cloud's; see {paths.log / 'sql.out'}, "
            "then run `cloud down --wipe` and `cloud up`"
        )


def map_hosts(paths: Paths) -> None:
    """Map hosts to the cell by their services, as an administrator does where Nova forgets it."""
    nova_conf = str(paths.run / "etc/nova/nova.conf")
    command = [
        paths.nova_bin("nova-manage"),
        "--config-file",
        nova_conf,
        "cell_v2",
        "discover_hosts",
        "--by-service",
    ]
    log = paths.log / "discover-hosts.out"
    if not run_logged(command, log, clean_environment(paths.run)):
        raise BedError(f"`{' '.join(command)}` failed; see {log}")


def purge_deleted(paths: Paths) -> None:
    """Drop the soft-deleted rows of compute services.

    `Instance.services` joins them too, and a deleted and re-added host can then answer a
    cold migration with 409 "Service is unavailable" although it is up.
    """
    if not sql(paths, "DELETE FROM services WHERE deleted <> 0;", "nova_cell1"):
        raise BedError("the database does not answer; is the cloud up? (`cloud status`)")
