"""`make demo`: it drains a host of a real Nova, and README.md shows what it prints."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo.transcript import differences

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(900)
def test_the_readme_shows_what_it_prints(kube_bed: None, cloud_bed: None, tidy_end: None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.demo.demo"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout
    (shown,) = re.findall(
        r"^```console\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE
    )
    assert differences(shown.splitlines(), done.stdout.splitlines()) == [], done.stdout
