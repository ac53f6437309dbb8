"""Every page of the site in a real browser: Debian's Chromium, which is unpacked into the cache."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.beds.hosts.booted import packages
from tests.site.conftest import ROOT

PACKAGES = ("chromium", "fonts-dejavu-core", "fontconfig-config")
LIBRARIES = "usr/lib/x86_64-linux-gnu"


def environment(files: Path) -> Mapping[str, str]:
    """With the libraries and fonts of these packages, behind those of this machine."""
    found = (files / LIBRARIES, files / LIBRARIES / "pulseaudio")
    fonts = (
        {}
        if Path("/etc/fonts/fonts.conf").exists()
        else {
            "FONTCONFIG_PATH": str(files / "etc" / "fonts"),
            "XDG_DATA_HOME": str(files / "usr" / "share"),
        }
    )
    return os.environ | {"LD_LIBRARY_PATH": ":".join(map(str, found))} | fonts


@pytest.fixture(scope="module")
def read(site: Path) -> dict[str, Any]:
    """What browse.py finds. QUIESCE_PICTURES: a folder for screenshots."""
    shown = subprocess.run(
        ["make", "--no-print-directory", "docs-env", "print-docs-env"],
        cwd=ROOT,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
    ).stdout
    files = packages(PACKAGES)
    chromium = files / "usr" / "lib" / "chromium" / "chromium"
    script = Path(__file__).with_name("browse.py")
    folder = [where] if (where := os.environ.get("QUIESCE_PICTURES")) else []
    done = subprocess.run(
        [f"{shown.split()[-1]}/bin/python", script, site, chromium, *folder],
        env=environment(files),
        text=True,
        capture_output=True,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"Chromium {found['browser']}: {found['pages']} pages, {found['links']} links")
    return found


def test_no_page_has_an_error_or_asks_for_anything_elsewhere(read: dict[str, Any]) -> None:
    assert read["pages"] > 100
    assert read["bad"] == []


def test_every_link_works(read: dict[str, Any]) -> None:
    assert read["links"] > read["pages"]
    assert read["broken"] == []


def test_no_page_is_wider_than_a_phone(read: dict[str, Any]) -> None:
    assert read["wide"] == []


def test_a_search_finds_what_nova_calls_it(read: dict[str, Any]) -> None:
    assert len(read["search"]) > 3


def test_dark_mode_is_switched_on_and_kept(read: dict[str, Any]) -> None:
    assert read["schemes"] == ["default", "slate", "slate"]
