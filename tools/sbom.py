"""What the image's Python environment holds, as CycloneDX 1.6 in JSON: `make sbom`.

    python -m tools.sbom PYTHON VERSION > FILE

PYTHON: the interpreter of an environment that was made as the Containerfile makes it. Debian's
packages below it are not listed. The same environment gives the same bytes.
"""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

NAME = "quiesce"


def bom(python: str, version: str) -> dict[str, Any]:
    """The packages of the environment, as parts of the operator. Raises CalledProcessError."""
    command = [sys.executable, "-W", "ignore", "-m", "cyclonedx_py", "environment"]
    command += ["--pyproject", "pyproject.toml", "--output-reproducible", "--of", "JSON", python]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)  # noqa: S603
    return described(json.loads(done.stdout), version, dependencies())


def described(found: dict[str, Any], version: str, direct: list[str]) -> dict[str, Any]:
    """With what a pyproject.toml with a dynamic version leaves open: the operator's own version,
    and on what it depends itself. `direct`: names.
    """
    component = found["metadata"]["component"]
    component |= {"version": version, "purl": f"pkg:pypi/{NAME}@{version}"}
    refs = {normal(each["name"]): each["bom-ref"] for each in found["components"]}
    root = {"ref": component["bom-ref"], "dependsOn": sorted(refs[normal(n)] for n in direct)}
    others = [each for each in found["dependencies"] if each["ref"] != root["ref"]]
    return found | {"dependencies": [root, *others]}


def normal(name: str) -> str:
    """As the package index compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def dependencies() -> list[str]:
    """The names in pyproject.toml."""
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    return [re.split(r"[^\w.-]", line)[0] for line in project["dependencies"]]


def main() -> int:
    _, python, version = sys.argv
    json.dump(bom(python, version), sys.stdout, indent=2)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
