"""Start Nova's daemons as forks of one preloaded interpreter.

usage: nova_start.py RUN_FOLDER NAME...     NAME: nova-conductor, nova-scheduler, nova-compute-HOST

Each fork is the plain main() of its daemon in a session of its own; what they share is
the import, seconds of CPU and about 100 MB. This is also where Nova gets to see our
driver: it imports compute_driver from nova.virt, so our folder is added to that package's
path, and no file of Nova is touched.
"""

import gc
import importlib
import os
import sys
import traceback
from pathlib import Path

from cloudbed.processes import record

# Before nova is imported: plain threads, as in the services' configuration.
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"

PRELOADED = (
    "nova.cmd.compute",
    "nova.cmd.conductor",
    "nova.cmd.scheduler",
    "nova.virt.drainfake",
    "nova.compute.manager",
    "nova.conductor.manager",
    "nova.scheduler.manager",
    "nova.network.neutron",
)
COMPUTE = "nova-compute-"


def preload(run: Path) -> None:
    importlib.import_module("nova.cmd.compute")  # first: it chooses the threading backend
    # Managers read the spacing of their periodic tasks (host discovery) when imported.
    conf = importlib.import_module("nova.conf").CONF
    conf(["--config-file", f"{run}/etc/nova/nova.conf"], project="nova")
    virt = importlib.import_module("nova.virt")
    virt.__path__.append(str(Path(__file__).parent / "nova_drivers"))
    for module in PRELOADED:
        importlib.import_module(module)
    conf.clear()  # each daemon parses its own command line
    gc.freeze()  # keeps the shared pages shared


def arguments(run: Path, name: str) -> tuple[str, list[str]]:
    """Return the module of a daemon's main() and its command line."""
    nova_conf = ["--config-file", f"{run}/etc/nova/nova.conf"]
    if name.startswith(COMPUTE):
        host = name.removeprefix(COMPUTE)
        return "nova.cmd.compute", ["nova-compute", *nova_conf, "--config-file", f"{run}/etc/compute/{host}.conf"]
    cell = ["--config-file", f"{run}/etc/nova/cell1.conf"] if name == "nova-conductor" else []
    module = f"nova.cmd.{name.removeprefix('nova-')}"
    return module, [name, *nova_conf, *cell, "--log-file", f"{run}/log/{name}.log"]


def become(run: Path, name: str) -> None:
    """Turn this process into a daemon; does not return before the daemon ends."""
    out = os.open(run / "log" / f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    Path("/proc/self/comm").write_text(name.removeprefix("nova-")[:15])
    module, sys.argv = arguments(run, name)
    importlib.import_module(module).main()


def spawn(run: Path, name: str) -> None:
    pid = os.fork()
    if pid:
        record(run / "pid", name, pid)
        return
    os.setsid()
    status = 1
    try:
        become(run, name)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  whatever it was, this fork must not run the parent's loop
        traceback.print_exc()
    os._exit(status)


def main() -> None:
    run, names = Path(sys.argv[1]), sys.argv[2:]
    preload(run)
    for name in names:
        spawn(run, name)
    os._exit(0)  # the daemons go on; no exit handler may touch what they share


main()
