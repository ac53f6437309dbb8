"""Known vulnerabilities in what the locks pin: `make audit`.

    python -m tools.audit [--service pypi|osv] LOCK...

Runs pip-audit, in whose environment this has to run. pip-audit itself says "No known
vulnerabilities found" and ends with 0 where the database knows nothing of any package, as behind a
mirror of the package index that has no such answers; here that is a failure of its own.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2
"""Exit codes. UNKNOWN: some package, or all, could not be looked up."""


def verdict(report: Mapping[str, Any]) -> tuple[int, list[str]]:
    """The exit code and what to print, of pip-audit's JSON report."""
    packages = report["dependencies"]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, "
        f"fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for package in packages
        for found in package.get("vulns", ())
    ]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if unknown:
        lines.append(
            f"not audited: {len(unknown)} of {len(packages)} packages ({shown(unknown)}). The "
            "vulnerability database has no answer for them: nothing is known, which is not the "
            "same as nothing found. Run it where the database can be reached, or with SERVICE=osv"
        )
    if len(lines) > bool(unknown):
        return VULNERABLE, lines
    if unknown or not packages:
        return UNKNOWN, lines or ["not audited: the locks name no package"]
    return CLEAN, [f"{len(packages)} packages, no known vulnerability"]


def shown(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def audit(service: str, locks: list[str]) -> tuple[int, list[str]]:
    """Of all locks together; each is looked up alone, since they share packages."""
    packages: dict[tuple[str, str | None], Any] = {}
    for lock in locks:
        report = look_up(service, lock)
        if isinstance(report, str):
            return UNKNOWN, [f"{lock}: not audited: {report}"]
        packages |= {(each["name"], each.get("version")): each for each in report["dependencies"]}
    return verdict({"dependencies": list(packages.values())})


def look_up(service: str, lock: str) -> dict[str, Any] | str:
    """pip-audit's report; a text where it made none."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service]
        command += ["--disable-pip", "--require-hashes", "--progress-spinner", "off"]
        command += ["--format", "json", "--output", str(output), "--requirement", lock]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if output.exists() and output.stat().st_size:
            report: dict[str, Any] = json.loads(output.read_text())
            return report
    said = done.stderr.strip().splitlines() or ["it said nothing"]
    return (
        f"the vulnerability database {service} cannot be reached, or pip-audit failed "
        f"(exit code {done.returncode}). Its last line: {said[-1]}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Known vulnerabilities in what the locks pin.")
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    parser.add_argument("locks", nargs="+", metavar="LOCK")
    flags = parser.parse_args()
    code, lines = audit(flags.service, flags.locks)
    print("\n".join(f"audit: {line}" for line in lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
