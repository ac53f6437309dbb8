"""Start Nova's daemons as forks of one preloaded interpreter, at once and at any time.

usage: nova_forker.py RUN_FOLDER

Listens on the unix socket `nova-forker.sock` in the run folder for one line of names
(nova-conductor, nova-scheduler, nova-compute-HOST), starts and records these daemons and
answers "ok". Each is the plain main() of its daemon in a session of its own; what they
share is the import, seconds of CPU and about 100 MB.

This is also where Nova gets to see our driver: it imports compute_driver from nova.virt,
so our folder is added to that package's path, and no file of Nova is touched.
"""

from __future__ import annotations  # older releases of Nova run on older versions of Python

import gc
import importlib
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

from cloudbed.processes import record

# The first one chooses the threading backend; all register options, which comes before reading any.
COMMANDS = ("nova.cmd.compute", "nova.cmd.conductor", "nova.cmd.scheduler")
PRELOADED = (
    "nova.virt.drainfake",
    "nova.compute.manager",
    "nova.conductor.manager",
    "nova.scheduler.manager",
    "nova.network.neutron",
)
COMPUTE = "nova-compute-"


def preload(run: Path) -> None:
    for module in COMMANDS:
        importlib.import_module(module)
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
        host = name[len(COMPUTE) :]
        own_conf = ["--config-file", f"{run}/etc/compute/{host}.conf"]
        return "nova.cmd.compute", ["nova-compute", *nova_conf, *own_conf]
    cell = ["--config-file", f"{run}/etc/nova/cell1.conf"] if name == "nova-conductor" else []
    module = "nova.cmd." + name[len("nova-") :]
    return module, [name, *nova_conf, *cell, "--log-file", f"{run}/log/{name}.log"]


def become(run: Path, name: str) -> None:
    """Turn this process into a daemon; does not return before the daemon ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if greenthreads():
        importlib.import_module("eventlet.hubs").use_hub()  # the parent's is not to be shared
    out = os.open(run / "log" / f"{name}.out", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    Path("/proc/self/comm").write_text(name[len("nova-") :][:15])
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


def greenthreads() -> bool:
    """Return whether Nova was imported with eventlet in place of threads."""
    return "eventlet" in sys.modules and bool(
        importlib.import_module("eventlet.patcher").is_monkey_patched("socket")
    )


def serve(run: Path) -> None:
    path = run / "nova-forker.sock"
    path.unlink(missing_ok=True)
    plain = (
        importlib.import_module("eventlet.patcher").original("socket") if greenthreads() else socket
    )
    with plain.socket(plain.AF_UNIX) as listener:
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
