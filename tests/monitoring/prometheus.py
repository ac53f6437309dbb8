"""Debian's Prometheus and promtool, unpacked into the cache: nothing is installed."""

import contextlib
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from tests.beds.hosts.booted import packages
from tests.harness.openstack import until

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "manifests" / "monitoring"

Json = dict[str, Any]


def program(name: str) -> Path:
    """`prometheus` or `promtool`. Raises BedError where they cannot be had."""
    return packages(("prometheus",)) / "usr" / "bin" / name


def rules() -> Json:
    """The groups of manifests/monitoring as Prometheus itself reads them."""
    resource = yaml.safe_load((MONITORING / "prometheus-rule.yaml").read_text())
    return {"groups": resource["spec"]["groups"]}


def promtool(*words: str) -> tuple[int, str]:
    """Its exit code and output."""
    done = subprocess.run(
        [program("promtool"), *words], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@contextmanager
def prometheus(folder: Path, port: int, target: int) -> Iterator[str]:
    """One on loopback that scrapes `target`, a port, every second; its address."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
    scrape = {
        "job_name": "quiesce",
        "honor_labels": True,
        "static_configs": [{"targets": [f"127.0.0.1:{target}"]}],
    }
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "5s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [scrape],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{port}"
    with (folder / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        until("Prometheus", lambda: _is_ready(address), timeout=60)
        yield f"http://{address}"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()
        process.wait()


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
