"""Start Nova's daemons as forks of one preloaded interpreter, at once and at any time.

usage: nova_forker.py RUN_FOLDER

Listens on the unix socket `nova-forker.sock` in the run folder for one line of names
(nova-conductor, nova-scheduler, nova-compute-HOST), starts and records these daemons and
answers "ok". Each is the plain main() of its daemon in a session of its own; what they
share is the import, seconds of CPU and about 100 MB.

This is also where Nova gets to see our driver: it imports compute_driver from nova.virt,
so our folder is added to that package's path, and no file of Nova is touched.
"""

import gc
import importlib
import os
import signal
import socket
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
        own_conf = ["--config-file", f"{run}/etc/compute/{host}.conf"]
        return "nova.cmd.compute", ["nova-compute", *nova_conf, *own_conf]
    cell = ["--config-file", f"{run}/etc/nova/cell1.conf"] if name == "nova-conductor" else []
    module = f"nova.cmd.{name.removeprefix('nova-')}"
    return module, [name, *nova_conf, *cell, "--log-file", f"{run}/log/{name}.log"]


def become(run: Path, name: str) -> None:
    """Turn this process into a daemon; does not return before the daemon ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out = os.open(run / "log" / f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    Path("/proc/self/comm").write_text(name.removeprefix("nova-")[:15])
    module, sys.argv = arguments(run, name)
    importlib.import_module(module).main()


def spawn(run: Path, name: str, sockets: tuple[socket.socket, ...]) -> None:
    pid = os.fork()
    if pid:
        record(run / "pid", name, pid)
        return
    os.setsid()
    for inherited in sockets:
        inherited.close()
    status = 1
    try:
        become(run, name)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  whatever it was, a fork must not run the parent's loop
        traceback.print_exc()
    os._exit(status)


def serve(run: Path) -> None:
    path = run / "nova-forker.sock"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # daemons that ended leave no zombies
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rw") as stream:
                for name in stream.readline().split():
                    spawn(run, name, (listener, connection))
                stream.write("ok\n")


def main() -> None:
    run = Path(sys.argv[1])
    preload(run)
    serve(run)


main()
