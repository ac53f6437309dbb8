#!/usr/bin/env python3
"""A real Kubernetes control plane on loopback, for tests and for use by hand.

kube-apiserver with RBAC, etcd, and of kube-controller-manager the controllers that
namespaces, garbage collection and service accounts need. No nodes, no pods that run.
README.md beside this file tells what is there, what is not, and every setting.
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import hashlib
import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quiesce" / "kube"
PARTS = ("etcd", "kube-apiserver", "kube-controller-manager")  # in the order they start
TOOLS = {  # binary: the Go package that holds its main
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
}
CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
)
READY_SECONDS = 120
AUDIT = {  # who wrote what, of all that an operator writes, and from where watches went on
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "Metadata",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [
                {"group": "quiesce.dev"},
                {"group": "events.k8s.io"},
                {"group": "coordination.k8s.io"},
                {"group": "", "resources": ["secrets"]},
            ],
        },
        {"level": "Metadata", "verbs": ["watch"], "resources": [{"group": "quiesce.dev"}]},
        {"level": "None"},
    ],
}
OPENSSL_CONFIG = """
[req]
distinguished_name = subject
[subject]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
[client]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
"""


class BedError(Exception):
    """What is wrong, where, and what to do: printed as it is."""


@dataclass(frozen=True)
class Bed:
    """One control plane: where it keeps its state, what it runs, where it listens."""

    run: Path
    bin: Path
    api_port: int
    etcd_port: int
    peer_port: int

    @property
    def pki(self) -> Path:
        return self.run / "pki"

    @property
    def kubeconfig(self) -> Path:
        return self.run / "kubeconfig"

    @property
    def audit(self) -> Path:
        return self.run / "logs" / "audit.log"

    @property
    def cache(self) -> Path:
        return self.run / "kubectl-cache"

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts to run: ready-made binaries may come without a controller manager."""
        return tuple(part for part in PARTS if (self.bin / part).exists())

    @property
    def settings(self) -> dict[str, str]:
        return {name: str(value) for name, value in asdict(self).items()}


def say(text: str) -> None:
    print(f"kube: {text}", file=sys.stderr, flush=True)


def port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise BedError(f"{variable}={text} is no port: set a number from 1 to 65535")
    return int(text)


def configured() -> Bed:
    return Bed(
        run=Path(os.environ.get("QUIESCE_KUBE_RUN") or CACHE / "run").resolve(),
        bin=ready_made() or CACHE / recipe_hash() / "bin",
        api_port=port("QUIESCE_KUBE_API_PORT", 26443),
        etcd_port=port("QUIESCE_KUBE_ETCD_PORT", 26379),
        peer_port=port("QUIESCE_KUBE_ETCD_PEER_PORT", 26380),
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for the other run that holds {path}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ---- binaries


def ready_made() -> Path | None:
    """The directory that KUBEBUILDER_ASSETS names, if it is set."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if not named:
        return None
    path = Path(named).resolve()
    needed = ("etcd", "kube-apiserver", "kubectl")
    missing = [tool for tool in needed if not os.access(path / tool, os.X_OK)]
    if missing:
        raise BedError(
            f"KUBEBUILDER_ASSETS={named} has no {', '.join(missing)}: "
            "name a directory that has them, or unset it to have them built"
        )
    return path


def build_command() -> list[str]:
    """The Go build of every tool, without the output directory.

    The version is stamped as the Kubernetes project's hack/lib/version.sh stamps it.
    """
    found = re.search(r"k8s\.io/kubernetes v(\d+)\.(\d+)\.\d+", (HERE / "go.mod").read_text())
    if found is None:
        raise BedError(f"{HERE / 'go.mod'} requires no k8s.io/kubernetes: restore the file")
    version, major, minor = found[0].split()[1], found[1], found[2]
    stamps = [
        f"-X {package}.{name}={value}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for name, value in (("gitVersion", version), ("gitMajor", major), ("gitMinor", minor))
    ]
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-v"]
    return ["go", "build", *flags, "-ldflags", " ".join(["-s -w", *stamps]), *TOOLS.values()]


def recipe_hash() -> str:
    recipe = [(HERE / "go.mod").read_text(), (HERE / "go.sum").read_text(), *build_command()]
    return hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:16]


def go_environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GO111MODULE": "on"}


def count_packages() -> int:
    """How many packages the build takes; downloads their modules, with progress on stderr."""
    command = ["go", "list", "-mod=readonly", "-deps", *TOOLS.values()]
    try:
        listed = subprocess.run(
            command, cwd=HERE, env=go_environment(), stdout=subprocess.PIPE, text=True
        )
    except FileNotFoundError:
        listed = None
    if listed is None or listed.returncode:
        go = re.search(r"^go (\S+)", (HERE / "go.mod").read_text(), re.MULTILINE)
        raise BedError(
            f"the build in {HERE} needs Go {go[1] if go else ''} or newer on PATH and the Go "
            "modules that go.mod names; install that Go (GOTOOLCHAIN=auto lets Go 1.21 or newer "
            "get it), or "
            "set KUBEBUILDER_ASSETS to a directory with kube-apiserver, etcd and kubectl"
        )
    return len(listed.stdout.splitlines())


def build(bed: Bed) -> None:
    """Fills the cache, once for each content of go.mod, go.sum and the build command."""
    if ready_made() or bed.bin.is_dir():
        return
    with locked(CACHE / "build.lock"):
        if bed.bin.is_dir():
            return
        began = time.monotonic()
        say("building the control plane: some minutes, the first time only")
        total = count_packages()
        target = bed.bin.parent
        with tempfile.TemporaryDirectory(dir=CACHE, prefix="building-") as work:
            output = Path(work, target.name, "bin")
            output.mkdir(parents=True)
            compile_tools(output, total)
            Path(work, target.name).rename(target)
        say(f"built in {time.monotonic() - began:.0f} s: {bed.bin}")


def compile_tools(output: Path, total: int) -> None:
    go, build_word, *rest = build_command()
    command = ["nice", go, build_word, "-o", f"{output}/", *rest]
    reported, tail = time.monotonic(), [""]
    with subprocess.Popen(
        command, cwd=HERE, env=go_environment(), stderr=subprocess.PIPE, text=True
    ) as compiler:
        try:
            for count, line in enumerate(compiler.stderr or (), 1):
                tail = [*tail[-20:], line]
                if time.monotonic() - reported > 10:
                    reported = time.monotonic()
                    say(f"compiled {count} of at most {total} packages")
        except BaseException:
            compiler.terminate()
            raise
    if compiler.returncode:
        raise BedError("the Go build failed; its last lines:\n" + "".join(tail))
    (output / "server").rename(output / "etcd")  # Go names it after its module's last element


# ---- certificates and kubeconfigs


def openssl(*arguments: str | Path) -> None:
    try:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise BedError("no openssl on PATH: install OpenSSL 3") from None
    if done.returncode:
        raise BedError(f"openssl {arguments[0]} failed (OpenSSL 3 is needed): {done.stderr}")


def certificate(pki: Path, name: str, subject: str, extensions: str) -> None:
    """Writes NAME.crt and NAME.key; all but the authority are signed by the authority."""
    signer: list[str | Path] = (
        [] if name == "ca" else ["-CA", pki / "ca.crt", "-CAkey", pki / "ca.key"]
    )
    openssl(
        *("req", "-x509", "-config", pki / "openssl.cnf", "-extensions", extensions),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650"),
        *("-subj", subject, "-keyout", pki / f"{name}.key", "-out", pki / f"{name}.crt", *signer),
    )


def kubeconfig(bed: Bed, user: str) -> str:
    """A kubeconfig with the user's client certificate; JSON, which is YAML too."""

    def data(name: str) -> str:
        return base64.b64encode((bed.pki / name).read_bytes()).decode()

    server = f"https://127.0.0.1:{bed.api_port}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "quiesce",
        "contexts": [{"name": "quiesce", "context": {"cluster": "quiesce", "user": user}}],
        "clusters": [
            {
                "name": "quiesce",
                "cluster": {"server": server, "certificate-authority-data": data("ca.crt")},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": data(f"{user}.crt"),
                    "client-key-data": data(f"{user}.key"),
                },
            }
        ],
    }
    return json.dumps(config, indent=2) + "\n"


def make_credentials(bed: Bed) -> None:
    pki = bed.pki
    pki.mkdir()
    (pki / "openssl.cnf").write_text(OPENSSL_CONFIG)
    certificate(pki, "ca", "/CN=quiesce-test-authority", "authority")
    certificate(pki, "server", "/CN=kube-apiserver", "server")
    certificate(pki, "admin", "/O=system:masters/CN=admin", "client")
    certificate(pki, "controller-manager", "/CN=system:kube-controller-manager", "client")
    key = pki / "service-account.key"
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-out", key.with_suffix(".pub"))
    (pki / "controller-manager.kubeconfig").write_text(kubeconfig(bed, "controller-manager"))
    authentication = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {
            "enabled": True,
            "conditions": [{"path": path} for path in ("/healthz", "/livez", "/readyz")],
        },
    }
    (pki / "authentication.json").write_text(json.dumps(authentication))
    (pki / "audit.json").write_text(json.dumps(AUDIT))
    bed.kubeconfig.write_text(kubeconfig(bed, "admin"))


# ---- processes


def etcd_flags(bed: Bed) -> list[str]:
    client, peer = (f"http://127.0.0.1:{number}" for number in (bed.etcd_port, bed.peer_port))
    return [
        f"--data-dir={bed.run / 'data'}",
        "--unsafe-no-fsync",  # the data never outlives the processes
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]


def apiserver_flags(bed: Bed) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{bed.etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={bed.api_port}",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.0.0.0/24",
        f"--tls-cert-file={bed.pki / 'server.crt'}",
        f"--tls-private-key-file={bed.pki / 'server.key'}",
        f"--client-ca-file={bed.pki / 'ca.crt'}",
        f"--authentication-config={bed.pki / 'authentication.json'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={bed.pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={bed.pki / 'service-account.key'}",
        f"--audit-policy-file={bed.pki / 'audit.json'}",
        f"--audit-log-path={bed.audit}",
    ]


def controller_manager_flags(bed: Bed) -> list[str]:
    return [
        f"--kubeconfig={bed.pki / 'controller-manager.kubeconfig'}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--use-service-account-credentials",
        f"--service-account-private-key-file={bed.pki / 'service-account.key'}",
        f"--root-ca-file={bed.pki / 'ca.crt'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",  # a namespace's deletion asks each of some 60 resources
        "--kube-api-burst=400",
    ]


FLAGS = {
    "etcd": etcd_flags,
    "kube-apiserver": apiserver_flags,
    "kube-controller-manager": controller_manager_flags,
}


def start_time(pid: int) -> str | None:
    """Clock ticks from boot to the process's start; None once it has ended.

    Field 22 of /proc/PID/stat (proc(5)); with the pid it names one process for good.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def running(bed: Bed, part: str) -> int | None:
    """The pid of a part that this bed started and that still is that process."""
    try:
        pid, started = (bed.run / f"{part}.pid").read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if start_time(int(pid)) == started else None


def launch(bed: Bed, part: str) -> None:
    with (bed.run / "logs" / f"{part}.log").open("a") as log:
        process = subprocess.Popen(
            [bed.bin / part, *FLAGS[part](bed)],
            cwd=bed.run,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # the terminal's Ctrl-C is not for it
        )
    (bed.run / f"{part}.pid").write_text(f"{process.pid} {start_time(process.pid)}\n")


def stop(bed: Bed, part: str) -> None:
    pid = running(bed, part)
    if pid is not None:
        with suppress(ProcessLookupError), os.fdopen(os.pidfd_open(pid)) as handle:
            # Asked again with the handle open: from here on the pid cannot change hands.
            if running(bed, part) == pid:
                for number, seconds in ((signal.SIGTERM, 2), (signal.SIGKILL, 30)):
                    signal.pidfd_send_signal(handle.fileno(), number)
                    if select.select([handle], [], [], seconds)[0]:
                        break
    (bed.run / f"{part}.pid").unlink(missing_ok=True)


def stop_all(bed: Bed) -> None:
    for part in reversed(PARTS):
        stop(bed, part)


# ---- the bed


def require_own(run: Path) -> None:
    """A start empties folders under it, so it must be new, empty or a bed's already."""
    if run.exists() and not (run / "lock").exists() and (not run.is_dir() or any(run.iterdir())):
        raise BedError(f"QUIESCE_KUBE_RUN={run} holds other things: name a new or empty directory")


def require_free(number: int, variable: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            raise BedError(
                f"port {number} on 127.0.0.1 cannot be had ({error.strerror}): "
                f"set {variable} to a free one, or stop what listens there"
            ) from None


def log_end(bed: Bed, part: str) -> str:
    log = bed.run / "logs" / f"{part}.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join([f"last lines of {log}:", *lines[-15:]])


def await_answer(bed: Bed, part: str, *question: str) -> None:
    """Asks kubectl until it succeeds, and not longer than the part lives.

    Raises BedError, with the end of the part's log, if the part ends or time is up.
    """
    base = [f"{bed.bin}/kubectl", f"--kubeconfig={bed.kubeconfig}", f"--cache-dir={bed.cache}"]
    environment = {**os.environ, "KUBERC": "off"}
    until = time.monotonic() + READY_SECONDS
    while True:
        asked = subprocess.run(
            [*base, "--request-timeout=10s", *question],
            env=environment,
            capture_output=True,
            text=True,
        )
        if asked.returncode == 0:
            return
        late = time.monotonic() > until
        if late or running(bed, part) is None:
            what = f"gave no answer in {READY_SECONDS} s" if late else "ended"
            raise BedError(f"{part} {what}: {asked.stderr.strip()}\n{log_end(bed, part)}")
        time.sleep(0.1)


def await_ready(bed: Bed) -> None:
    await_answer(bed, "kube-apiserver", "get", "--raw=/readyz")


def start(bed: Bed) -> None:
    """Starts every part on an empty etcd with new certificates; stops them all if one fails."""
    began = time.monotonic()
    for number, variable in (
        (bed.api_port, "QUIESCE_KUBE_API_PORT"),
        (bed.etcd_port, "QUIESCE_KUBE_ETCD_PORT"),
        (bed.peer_port, "QUIESCE_KUBE_ETCD_PEER_PORT"),
    ):
        require_free(number, variable)
    for old in ("data", "pki", "logs", "kubectl-cache"):
        shutil.rmtree(bed.run / old, ignore_errors=True)
    (bed.run / "logs").mkdir()
    make_credentials(bed)
    (bed.run / "settings.json").write_text(json.dumps(bed.settings))
    try:
        launch(bed, "etcd")
        launch(bed, "kube-apiserver")
        await_ready(bed)
        if "kube-controller-manager" in bed.parts:
            launch(bed, "kube-controller-manager")
            made = ("serviceaccount/default", "configmap/kube-root-ca.crt")
            await_answer(bed, "kube-controller-manager", "--namespace=default", "get", *made)
    except BaseException:
        stop_all(bed)
        raise
    say(f"up in {time.monotonic() - began:.1f} s")


def exports(bed: Bed) -> str:
    return "\n".join(
        (
            f"export KUBECONFIG={shlex.quote(str(bed.kubeconfig))}",
            f"export PATH={shlex.quote(str(bed.bin))}:$PATH",
            f"export KUBECACHEDIR={shlex.quote(str(bed.cache))}",
        )
    )


def is_up(bed: Bed) -> bool:
    """Whether every part runs. Raises BedError if they run with other settings."""
    alive = [part for part in PARTS if running(bed, part)]
    if not alive:
        return False
    kept = json.loads((bed.run / "settings.json").read_text())
    others = [
        f"{name}={kept.get(name)}, not {value}"
        for name, value in bed.settings.items()
        if kept.get(name) != value
    ]
    if others:
        raise BedError(
            f"the control plane in {bed.run} runs with {'; '.join(others)}: "
            f"stop it with {HERE / 'down'}, or set QUIESCE_KUBE_RUN to start a second one"
        )
    ended = [part for part in bed.parts if part not in alive]
    for part in ended:
        say(f"{part} was started but runs no more; {log_end(bed, part)}")
    return not ended


def up(bed: Bed) -> int:
    require_own(bed.run)
    bed.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(bed.run / "lock"):
        if is_up(bed):
            await_ready(bed)
            say("already up")
        else:
            build(bed)
            stop_all(bed)
            start(bed)
    if "kube-controller-manager" not in bed.parts:
        say(
            f"{bed.bin} has no kube-controller-manager: namespaces stay Terminating, owned objects "
            "stay, and no service account is made by itself"
        )
    print(exports(bed))
    return 0


def restart(bed: Bed) -> int:
    """A new kube-apiserver process on the same etcd."""
    if not is_up(bed):
        raise BedError(f"the control plane in {bed.run} is not up: run {HERE / 'up'}")
    with locked(bed.run / "lock"):
        stop(bed, "kube-apiserver")
        launch(bed, "kube-apiserver")
        await_ready(bed)
    return 0


def down(bed: Bed) -> int:
    if bed.run.is_dir():
        with locked(bed.run / "lock"):
            stop_all(bed)
    say("down")
    return 0


def environment(bed: Bed) -> int:
    if not is_up(bed):
        raise BedError(f"the control plane in {bed.run} is not up: run {HERE / 'up'}")
    print(exports(bed))
    return 0


def status(bed: Bed) -> int:
    """Prints pid and resident memory of each part; 0 if all run, 1 if not."""
    for part in PARTS:
        pid = running(bed, part)
        if pid is None:
            print(f"{part}: not running")
            continue
        resident = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        print(f"{part}: pid {pid}, {int(resident[1]) // 1024 if resident else 0} MiB")
    return 0 if is_up(bed) else 1


def build_only(bed: Bed) -> int:
    build(bed)
    print(bed.bin)
    return 0


def main() -> int:
    actions = {
        "up": (up, "build if need be, start, wait until ready, print the shell lines to use it"),
        "down": (down, "stop what up started, and nothing else"),
        "restart": (restart, "end the API server, start it again, and wait until it is ready"),
        "env": (environment, "print the shell lines of the running control plane"),
        "status": (status, "say which parts run; the exit code is 0 if all do"),
        "build": (build_only, "only fill the cache, and print where the binaries are"),
    }
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    verbs = parser.add_subparsers(dest="action", required=True)
    for name, (_, text) in actions.items():
        verbs.add_parser(name, help=text)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    try:
        return actions[parser.parse_args().action][0](configured())
    except BedError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
