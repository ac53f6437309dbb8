"""MariaDB and RabbitMQ, run from Debian's programs on state of our own."""

import os
import pwd
import subprocess
from pathlib import Path

from .errors import BedError
from .packages import RABBITMQ_BIN, run_logged
from .processes import Processes
from .settings import LOOPBACK, Knobs, Paths

REDO_LOG = "--innodb-log-file-size=48M"
RABBITMQ_CONF = """\
listeners.tcp.1 = {ip}:{port}
loopback_users = none
log.file.level = warning
log.console = false
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 200MB
collect_statistics_interval = 60000
"""


def user() -> str:
    """Return the name of the user all services run as: the one who runs this."""
    return pwd.getpwuid(os.geteuid()).pw_name


def create_mariadb(paths: Paths) -> None:
    """Make the data folder; it appears under its name only when it is complete."""
    data, half_made = paths.run / "mysql", paths.run / "mysql.new"
    if data.exists():
        return
    subprocess.run(["rm", "-rf", str(half_made)], check=True)
    log = paths.log / "mariadb-install.out"
    command = [
        "mariadb-install-db",
        "--no-defaults",
        f"--user={user()}",
        f"--datadir={half_made}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        REDO_LOG,
    ]
    if not run_logged(command, log):
        raise BedError(f"mariadb-install-db failed; see {log}")
    half_made.rename(data)


def start_mariadb(paths: Paths, processes: Processes) -> None:
    """Start MariaDB on a unix socket alone, tuned for a database that may be lost."""
    create_mariadb(paths)
    processes.start(
        "mariadb",
        [
            "mariadbd",
            "--no-defaults",
            f"--user={user()}",
            f"--datadir={paths.run / 'mysql'}",
            f"--socket={paths.socket}",
            f"--pid-file={paths.run / 'mysql/mariadbd.pid'}",
            "--skip-networking",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--performance-schema=OFF",
            "--max-connections=600",
            "--innodb-buffer-pool-size=192M",
            REDO_LOG,
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0",
            "--innodb-flush-method=fsync",
            "--character-set-server=utf8mb3",
            "--collation-server=utf8mb3_general_ci",
        ],
    )


def sql(paths: Paths, statements: str, database: str = "") -> bool:
    """Run SQL as MariaDB's root; return whether all of it succeeded."""
    command = [
        "mariadb",
        "--no-defaults",
        f"--socket={paths.socket}",
        "-uroot",
        *([database] * bool(database)),
    ]
    with (paths.log / "sql.out").open("ab") as out:
        return (
            subprocess.run(
                command, input=statements.encode(), stdout=out, stderr=out, check=False
            ).returncode
            == 0
        )


def erlang_home() -> Path:
    """Return the folder of Erlang's own programs (epmd is not always on the path)."""
    found = sorted(Path("/usr/lib/erlang").glob("erts-*/bin"))
    if not found:
        raise BedError("Erlang is not in /usr/lib/erlang; reinstall the package erlang-base")
    return found[-1]


def start_rabbitmq(paths: Paths, knobs: Knobs, processes: Processes) -> None:
    """Start RabbitMQ and its port mapper; the mapper would else outlive it as a daemon."""
    home = paths.run / "rabbit"
    (home / "mnesia").mkdir(parents=True, exist_ok=True)
    (home / "rabbitmq.conf").write_text(
        RABBITMQ_CONF.format(ip=LOOPBACK, port=knobs.port("rabbitmq"))
    )
    (home / "env.conf").write_text("")
    (home / "enabled_plugins").write_text("[].\n")
    epmd = {"ERL_EPMD_PORT": str(knobs.port("epmd")), "ERL_EPMD_ADDRESS": LOOPBACK}
    processes.start("epmd", [str(erlang_home() / "epmd")], epmd)
    processes.start(
        "rabbitmq",
        [str(RABBITMQ_BIN / "rabbitmq-server")],
        {
            **epmd,
            "RABBITMQ_NODENAME": "quiesce@localhost",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "env.conf"),
            "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(paths.log),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_DIST_PORT": str(knobs.port("erlang")),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
            " -kernel inet_dist_use_interface {127,0,0,1}",
        },
    )
