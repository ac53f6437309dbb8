"""What a release consists of: `make dist`.

    python -m tools.dist wheel FOLDER             the wheel; requirements.txt with its hash and
                                                  those of all that it needs
    python -m tools.dist manifests FOLDER IMAGE   install.yaml and the Helm chart, with this image
    python -m tools.dist sums FOLDER              SHA256SUMS over everything there

The same commit and tools give the same bytes.
"""

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
NAME = "quiesce"
SOURCE = ("pyproject.toml", "README.md", "LICENSE", "operator")
IMAGE = re.compile(
    r"(?P<name>[^\s@]+?)(?::(?P<tag>\w[\w.-]*))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
OLDEST = 315532800
"""1980, in seconds since 1970: the oldest time that a wheel can hold."""


class DistError(ValueError):
    """What is wrong, and what to do: printed as it is."""


@dataclass(frozen=True)
class Image:
    """`tag`, `digest`: "" where the name has none."""

    name: str
    tag: str
    digest: str

    @classmethod
    def read(cls, text: str) -> "Image":
        """Raises DistError."""
        found = IMAGE.fullmatch(text)
        if found is None:
            raise DistError(f"IMAGE={text} is no name of an image: set host/name:tag")
        return cls(found["name"], found["tag"] or "", found["digest"] or "")


def run(*command: str | Path, where: Path = ROOT, epoch: int = OLDEST) -> str:
    """What it prints. Raises DistError with its message where it fails."""
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}
    done = subprocess.run(  # noqa: S603
        list(map(str, command)), cwd=where, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise DistError(f"{' '.join(map(str, command))}: {done.stderr or done.stdout}")
    return done.stdout


def commit_time() -> int:
    """SOURCE_DATE_EPOCH, or when the commit was made; without git a time that is always the same.

    In seconds since 1970.
    """
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    try:
        return int(run("git", "log", "-1", "--format=%ct"))
    except (DistError, FileNotFoundError):
        return OLDEST


# ---- manifests


def kustomize() -> list[str]:
    """The command to which a folder is added: kubectl's, kustomize, or the test bed's kubectl."""
    for name, *verb in (("kubectl", "kustomize"), ("kustomize", "build")):
        if found := shutil.which(name):
            return [found, *verb]
    folder = run(ROOT / "tests" / "beds" / "kube" / "kube.py", "build").strip()
    return [f"{folder}/kubectl", "kustomize"]


def install_yaml(image: Image) -> str:
    """manifests/base as one file, with this image."""
    names = {"newName": image.name, "newTag": image.tag, "digest": image.digest}
    with tempfile.TemporaryDirectory() as folder:
        overlay = {
            "resources": [os.path.relpath(ROOT / "manifests" / "base", Path(folder).resolve())],
            "images": [{"name": NAME} | {key: value for key, value in names.items() if value}],
        }
        Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(overlay))
        return run(*kustomize(), folder)


# ---- chart


def chart_files(image: Image) -> Iterator[tuple[str, bytes]]:
    """Paths below the chart's folder, and contents. Links are followed: the chart stands alone."""
    chart = ROOT / "chart"
    for folder, _, names in os.walk(chart, followlinks=True):
        for name in names:
            path = Path(folder, name)
            text = path.read_bytes()
            if path == chart / "values.yaml":
                text = with_image(text.decode(), image).encode()
            yield str(path.relative_to(chart)), text


def with_image(values: str, image: Image) -> str:
    """values.yaml with this image as its default."""
    for key, value in (("repository", image.name), ("tag", image.tag), ("digest", image.digest)):
        values, count = re.subn(rf"(?m)^(  {key}: )\S+", rf'\g<1>"{value}"', values, count=1)
        if not count:
            raise DistError(f"chart/values.yaml has no image.{key}")
    return values


def package_chart(target: Path, image: Image, epoch: int) -> None:
    """As `helm package` does it."""
    with (
        target.open("wb") as out,
        gzip.GzipFile("", "wb", fileobj=out, mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, content in sorted(chart_files(image)):
            entry = tarfile.TarInfo(f"{NAME}/{name}")
            entry.size, entry.mtime = len(content), epoch
            archive.addfile(entry, io.BytesIO(content))


# ---- wheel


def build_wheel(folder: Path, epoch: int) -> Path:
    """Built by the setuptools of the lock, from a copy: nothing is written into the checkout."""
    with tempfile.TemporaryDirectory() as work:
        for name in SOURCE:
            source, copy = ROOT / name, Path(work, name)
            if source.is_dir():
                left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(source, copy, ignore=left_out)
            else:
                shutil.copy(source, copy)
        pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
        options = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
        run(*pip, *options, work, epoch=epoch)
    (wheel,) = folder.glob(f"{NAME}-*.whl")
    return wheel


def requirements(wheel: Path) -> str:
    """The lock, and the wheel beside it, all by hash."""
    version = wheel.name.split("-")[1]
    return (
        f"# pip install --require-hashes -r requirements.txt: {NAME} and all that it needs\n"
        f"--find-links .\n{NAME}=={version} --hash=sha256:{digest(wheel)}\n"
    ) + (ROOT / "requirements.txt").read_text()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sums(folder: Path) -> str:
    """For sha256sum --check."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    return "".join(f"{digest(path)}  {path.name}\n" for path in files)


def make_wheel(folder: Path) -> None:
    for old in folder.glob(f"{NAME}-*.whl"):
        old.unlink()
    wheel = build_wheel(folder, commit_time())
    (folder / "requirements.txt").write_text(requirements(wheel))


def make_manifests(folder: Path, image: Image) -> None:
    for old in folder.glob(f"{NAME}-*.tgz"):
        old.unlink()
    (folder / "install.yaml").write_text(install_yaml(image))
    version = yaml.safe_load((ROOT / "chart" / "Chart.yaml").read_text())["version"]
    package_chart(folder / f"{NAME}-{version}.tgz", image, commit_time())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=("wheel", "manifests", "sums"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("image", type=Image.read, nargs="?", default=Image(NAME, "", ""))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    match options.part:
        case "wheel":
            make_wheel(options.folder)
        case "manifests":
            make_manifests(options.folder, options.image)
        case _:
            (options.folder / "SHA256SUMS").write_text(sums(options.folder))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DistError as error:
        sys.exit(f"dist: {error}")
