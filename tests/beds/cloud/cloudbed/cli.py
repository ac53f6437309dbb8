"""The command line of the bed."""

import argparse
import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from . import databases, faults, packages
from .backing import sql
from .errors import BedError
from .services import Cloud
from .settings import MARK, PREFIX, Knobs, Paths, current, find_paths, remember, remembered

BEGAN = time.monotonic()


def say(text: str) -> None:
    print(f"[cloud {time.monotonic() - BEGAN:5.1f} s] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one command at a time change a folder; others wait for their turn."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    name = folder.parent / f".{folder.name}.lock"  # beside the folder, which may be removed
    with name.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another command on {folder} to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def claim(run: Path, release: str) -> None:
    """Make the run folder ours; BedError for a folder with something else in it.

    A wipe removes the whole folder, so it must never be one that was there before.
    """
    if run.is_dir() and any(run.iterdir()) and not (run / MARK).exists():
        raise BedError(f"{run} is not empty and not a cloud's; name another folder in {PREFIX}RUN")
    run.mkdir(parents=True, exist_ok=True)
    (run / MARK).write_text(f"{release}\n")


def install(paths: Paths) -> None:
    """Install what is missing; shown, because it takes a while on a fresh machine."""
    with locked(paths.venv.parent):  # other clouds may want the same
        made = packages.is_made(paths.venv)
        if missing := packages.missing_packages(made):
            say(f"Debian packages: {' '.join(missing)}")
            packages.install_debian(missing, paths.log / "apt.out")
        if not made:
            say("virtual environment: Keystone, Placement, Glance, Neutron and Nova (a minute)")
            packages.install_venv(paths, paths.log / "venv.out")
    with locked(paths.kept):
        if not packages.is_made(paths.nova_venv):
            say(f"virtual environment: Nova {paths.release.nova} and its Placement (minutes)")
            packages.install_release(paths, paths.log / "venv.out")


def up(paths: Paths) -> None:
    claim(paths.run, paths.release.name)
    for folder in (paths.run / "pid", paths.log):
        folder.mkdir(exist_ok=True)
    if not Cloud(paths, current(paths), say).processes.alive():
        paths.settings.unlink(missing_ok=True)  # of a cloud that ended without `down`
    was_up = remembered(paths) is not None
    cloud = Cloud(paths, current(paths), say)
    install(paths)
    try:
        remember(paths, cloud.knobs)
        cloud.up()
    except BaseException:
        if not was_up:
            say("failed; ending what was started")
            cloud.down()
        raise
    say(
        f"ready: {' '.join(cloud.knobs.hosts()) or 'no computes'}; "
        f'for a shell: eval "$({sys.argv[0]} env)"'
    )


def down(paths: Paths, arguments: argparse.Namespace) -> None:
    forget = (arguments.wipe or arguments.purge) and (paths.run / MARK).exists()
    Cloud(paths, Knobs(), say).down(keep_state=not forget)  # by the records, whatever the knobs
    if forget:
        shutil.rmtree(paths.run)
    if arguments.purge:
        shutil.rmtree(paths.kept, ignore_errors=True)
    say("down")


def compute(cloud: Cloud, arguments: argparse.Namespace) -> None:
    for host in arguments.host:
        if not re.fullmatch(re.escape(cloud.knobs.host_prefix) + r"\d+", host):
            raise BedError(
                f"{host!r} is no name of a host here; they are {cloud.knobs.host_prefix}1 and so on"
            )
    if arguments.action == "start":
        if not cloud.processes.pid("nova-api"):
            raise BedError("the cloud is not up; run `cloud up`")
        cloud.start_nova((), arguments.host)
        cloud.wait_for_computes(arguments.host)
    else:
        cloud.stop_computes(arguments.host, kill=arguments.action == "kill")


def edit_faults(paths: Paths, arguments: argparse.Namespace) -> None:
    if not paths.faults.exists():
        raise BedError("there is no cloud yet; run `cloud up`")
    if arguments.action == "set":
        table = faults.with_faults(faults.load(paths.faults), arguments.scope, arguments.setting)
        faults.save(paths.faults, table)
    elif arguments.action == "clear":
        scope = arguments.scope
        faults.save(
            paths.faults, faults.without_scope(faults.load(paths.faults), scope) if scope else {}
        )
    print(paths.faults.read_text(), end="")


def status(cloud: Cloud) -> int:
    """Print every process and every compute service; return 0 if nothing is missing."""
    ended = 0
    expected = cloud.expected()
    for name in [*expected, *sorted(set(cloud.processes.names()) - set(expected))]:
        pid = cloud.processes.pid(name)
        ended += pid is None
        memory = f"{cloud.processes.resident_mib(name):6.0f} MiB" if pid else ""
        print(f"{name:24} {pid or 'not running':>11} {memory}")
    if not cloud.processes.pid("nova-api"):
        return 1
    print()
    services = cloud.compute_services()
    for service in services:
        print(f"{service['host']:24} {service['state']:>11} {service['status']}")
    return int(ended > 0 or any(service["state"] != "up" for service in services))


def env(paths: Paths) -> None:
    if not paths.clouds.exists():
        raise BedError("there is no cloud yet; run `cloud up`")
    print(f"export OS_CLIENT_CONFIG_FILE={shlex.quote(str(paths.clouds))} OS_CLOUD=lab")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="cloud", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start whatever is not running, installing it if needed")
    end = commands.add_parser("down", help="end all processes, keep the state")
    end.add_argument("--wipe", action="store_true", help="also forget all state")
    end.add_argument(
        "--purge", action="store_true", help="also forget what was installed and dumped"
    )
    commands.add_parser("status", help="show processes and compute services; 0 if all is up")
    commands.add_parser("env", help="print shell exports that name the cloud")
    commands.add_parser("purge-deleted", help="drop soft-deleted compute services")
    commands.add_parser("sql", help="run a statement in the database of Nova's cell").add_argument(
        "statement"
    )
    node = commands.add_parser("compute", help="start, stop or kill (-9) nova-compute on hosts")
    node.add_argument("action", choices=("start", "stop", "kill"))
    node.add_argument("host", nargs="+")
    add_faults(commands.add_parser("faults", help="show or change injected faults and delays"))
    return top


def add_faults(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", required=True)
    add = actions.add_parser("set", help=f"OP=SPEC, SPEC being {faults.HELP}")
    add.add_argument("scope", help="all, host:HOST or server:NAME_GLOB_OR_UUID")
    add.add_argument("setting", nargs="+", metavar="OP=SPEC")
    clear = actions.add_parser("clear", help="drop the faults of one scope, or all")
    clear.add_argument("scope", nargs="?")
    actions.add_parser("show", help="print the fault file")


def run(paths: Paths, arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "env":
            env(paths)
        case "status":
            return status(Cloud(paths, current(paths), say))
        case "faults":
            edit_faults(paths, arguments)
        case "purge-deleted":
            databases.purge_deleted(paths)
        case "sql":
            if not sql(paths, arguments.statement, "nova_cell1"):
                raise BedError(
                    "the database refuses it, or the cloud is not up (`cloud status`); "
                    f"see {paths.log / 'sql.out'}"
                )
        case "up" | "down" | "compute":
            with locked(paths.run):
                change(paths, arguments)
    return 0


def change(paths: Paths, arguments: argparse.Namespace) -> None:
    match arguments.command:
        case "up":
            up(paths)
        case "down":
            down(paths, arguments)
        case "compute":
            compute(Cloud(paths, current(paths), say), arguments)


def end(number: int, frame: FrameType | None) -> None:
    """Leave in order on SIGTERM: what has been started has to be ended."""
    sys.exit(128 + number)


def main() -> int:
    """Run one command and return its exit code."""
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, end)
    arguments = parser().parse_args()
    try:
        return run(find_paths(os.environ), arguments)
    except BedError as error:
        say(f"error: {error}")
        return 2
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say("interrupted")
        return 130
