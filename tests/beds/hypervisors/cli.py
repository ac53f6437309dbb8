"""A cloud with real hypervisors on this machine."""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
from types import FrameType

from tests.beds.cloud.cloudbed.errors import BedError as CloudError
from tests.beds.hosts.hosts import BedError
from tests.beds.hypervisors import cluster
from tests.beds.hypervisors.settings import Settings, settings


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="bed", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    start = commands.add_parser(
        "up", help="start the cloud and the hosts; return when all can be used"
    )
    start.add_argument(
        "--count", type=int, default=3, help="how many hosts, cmp1 to cmpN (default 3)"
    )
    commands.add_parser("down", help="end what up started, forget the cloud and the hosts")
    commands.add_parser("status", help="show the hosts; exit code 0 if Nova can use all of them")
    commands.add_parser("env", help="print shell exports that name the cloud")
    run = commands.add_parser("run", help="run a shell command as root on a host's console")
    run.add_argument("host")
    run.add_argument("words", nargs=argparse.REMAINDER, metavar="command")
    return top


def status(found: Settings) -> int:
    bed = cluster.attached(found)
    missing = bed.missing
    for name, host in bed.hosts.items():
        state = "not usable" if name in missing else "usable"
        print(
            f"{name:8} {host.address:16} {host.tree.first if host.tree.runs else 'off':>8}  {state}"
        )
    return int(bool(missing))


def run(found: Settings, host: str, command: str) -> int:
    bed = cluster.attached(found)
    if host not in bed.hosts:
        raise BedError(f"{host!r} is no host here; there are {' '.join(bed.hosts)}")
    done = bed[host].tree.enter(["/bin/sh", "-c", command])
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    return done.returncode


def carry_out(arguments: argparse.Namespace) -> int:
    found = settings()
    match arguments.command:
        case "up":
            cluster.up(found, arguments.count)
        case "down":
            cluster.down(found)
        case "status":
            return status(found)
        case "env":
            print(
                f"export OS_CLIENT_CONFIG_FILE={shlex.quote(str(found.cloud.clouds))} OS_CLOUD=lab"
            )
        case "run":
            return run(found, arguments.host, " ".join(arguments.words))
    return 0


def end(number: int, _frame: FrameType | None) -> None:
    """Leave in order on a signal: what has been started has to be ended."""
    sys.exit(128 + number)


def main() -> int:
    """Run one command; its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        return carry_out(parser().parse_args())
    except (BedError, CloudError, subprocess.CalledProcessError) as error:
        cluster.say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        cluster.say("interrupted")
        return 130
