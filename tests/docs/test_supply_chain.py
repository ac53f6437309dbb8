"""What is built and run is pinned: packages by hash, images by digest, actions by commit."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.txt"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))


@pytest.mark.finding("L10", "S9")
@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_has_a_version_and_hashes(lock: Path) -> None:
    text = re.sub(r"^#.*\n|^\n", "", lock.read_text(), flags=re.MULTILINE)
    packages = text.replace("\\\n", " ").splitlines()
    assert len(packages) > 20
    assert not [line for line in packages if not re.match(r"\S+==\S+ .*--hash=sha256:", line)]


@pytest.mark.finding("L10")
def test_the_base_image_has_a_digest() -> None:
    text = (ROOT / "Containerfile").read_text()
    (base,) = re.findall(r"^ARG PYTHON=(\S+)", text, re.MULTILINE)
    assert re.fullmatch(r"python:3\.11[\w.-]*@sha256:[0-9a-f]{64}", base)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON}"}


@pytest.mark.finding("L10")
def test_the_image_takes_no_module_from_where_it_runs_and_installs_nothing() -> None:
    final = (ROOT / "Containerfile").read_text().rpartition("FROM ")[2]
    assert "PYTHONSAFEPATH=1" in final
    assert "WORKDIR /app" in final
    assert "pip uninstall" in final
    assert "USER 65532" in final


@pytest.mark.finding("L10")
@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_may_only_read(workflow: Path) -> None:
    text = workflow.read_text()
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert not [action for action in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)]
    assert "permissions:\n  contents: read\n" in text
