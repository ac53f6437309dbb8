"""Every command that the documentation shows, and what runs it.

A command stands in a block of the language `sh` or `console`, or in running text. Those in blocks
of the tutorial and the how-tos are run by tests/procedures/test_procedures.py, which compares their
output. Those of kubectl and quiesce elsewhere are run by tests/procedures/test_commands.py. All
others are named here.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<kind>sh|console)\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
"""Also one within a list, which is indented."""
_BLOCK_OF_ANY_KIND = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_INLINE = re.compile(
    r"(\w+=\S+ )*(kubectl|quiesce|make|helm|openstack|nova|flux|docker|podman|systemctl|python|pip|"
    r"ssh|eval|cloud(?= \w)|tests/beds/\w+/\w+|\S+/pytest) .+"
)
_NAME = re.compile(r"(?!make )[a-z]+( [a-z][a-z-]*)*( …)?")
"""What a page calls a command, as in `kubectl delete`; nothing to type."""
_COMMENT = re.compile(r"(^|\s+)# .*$", re.MULTILINE)
RUNS_ON = r"OS_CLIENT_CONFIG_FILE=\S+ OS_CLOUD=prod make run .*|\S+/quiesce run .*"
"""Until it is stopped."""
_RUN_HERE = re.compile(r"(OS_CLIENT_CONFIG_FILE=\S+ )?(kubectl|quiesce|for role in|make help)\b")


@dataclass(frozen=True)
class Shown:
    """One command without its comment. `page`: its path in the checkout; `output`: whether the page
    shows one; `inline`: it stands in running text.
    """

    page: str
    command: str
    output: bool
    inline: bool = False

    def __str__(self) -> str:
        return f"{self.page}: {self.command}"


# Whole commands, and the test or fixture that runs them.
RUN_BY = {
    r"make docs(-serve)?": "tests/site/conftest.py::site",
    r'eval "\$\(tests/beds/kube/up\)"|tests/beds/kube/down': "tests/e2e/conftest.py::kube_bed",
    r"(tests/beds/cloud/)?cloud (up|down)": "tests/e2e/conftest.py::cloud_bed",
    r"QUIESCE_CLOUD_RELEASE=ussuri cloud up": "tests/contract/clouds.py::beside",
    r'eval "\$\(tests/beds/cloud/cloud env\)"': "tests/harness/openstack.py::bed_environment",
    r"cloud faults (set .+|clear)": "tests/harness/openstack.py::fault",
    r"tests/beds/hosts/(up|down)": "tests/beds/hosts/hosts.py::running",
    r'tests/beds/hypervisors/bed .+|eval "\$\(tests/beds/hypervisors/bed env\)"': (
        "tests/hypervisors/conftest.py::hypervisors"
    ),
    RUNS_ON: "tests/procedures/test_commands.py::test_an_operator_runs_until_it_is_stopped",
    r"make demo": "tests/demo/test_demo.py::test_the_readme_shows_what_it_prints",
    r"make tour( .*)?": "tests/tour/test_tour.py::test_the_tour_shows_a_drain_and_leaves_nothing",
    r"make (dist|sbom)( .*)?": "tests/install/conftest.py::dist",
    r"make image( .*)?": "tests/install/image/conftest.py::image",
    r"python3 -m venv .*|\S*pip install .*": "tests/install/test_wheel.py::installed",
    r"mkdir -p ~/.local/bin|ln -sf \S+kubectl\*quiesce .*": (
        "tests/install/test_commands.py::test_kubectl_finds_the_plugin_that_the_page_installs"
    ),
    r"kubectl apply -f dist/install.yaml": (
        "tests/install/test_commands.py::test_the_readme_installs_the_image_that_it_builds"
    ),
    r"helm .*|kubectl (apply|delete) -f install.yaml|kubectl (create|label) namespace quiesce-.*": (
        "tests/install/test_commands.py::test_it_is_installed_upgraded_and_removed"
    ),
    r"kubectl quiesce .*": (
        "tests/e2e/plugin/test_kubectl_quiesce.py::test_a_person_drains_and_restores_a_host"
    ),
    r"source <\(kubectl quiesce completion .*|cat > .*kubectl_complete.*": (
        "tests/unit/plugin/test_program.py::test_bash_completes_with_its_script"
    ),
    r"PASSWORD=.*|openstack (project|role) .*|openstack user (create|set) .*|"
    r"openstack (--os-username \S+ .*)?application credential create .*": (
        "tests/credentials/test_page.py::test_with_the_role_as_well_a_host_is_retired_and_returns"
    ),
    r"openstack .*": (
        "tests/nightly/test_openstack_commands.py::test_a_command_does_what_people_are_told_it_does"
    ),
    r"docker update .*; docker start NAME": (
        "tests/supervisors/test_docker.py::test_by_hand_it_is_started_as_it_was_found"
    ),
    r"podman start NAME": (
        "tests/supervisors/test_podman.py::test_by_hand_it_is_started_as_it_was_found"
    ),
    r"rm \S+/quiesce.conf; systemctl .*; systemctl start nova-compute": (
        "tests/supervisors/test_systemd.py::test_by_hand_it_is_started_as_it_was_found"
    ),
    r"systemctl disable --now nova-compute": (
        "tests/supervisors/test_systemd.py::test_what_did_not_run_is_kept_down_and_left_as_it_was"
    ),
    r"systemctl stop libvirtd.socket .*": "tests/harness/hypervisors.py::stop_libvirtd",
    r"(PYTHONPATH=operator )?python -m \S+.*": (
        "tests/docs/test_commands.py::test_a_module_that_is_named_is_a_program"
    ),
    r"PYTHONPATH=operator \S+/bin/pytest .*": (
        "tests/docs/test_commands.py::test_a_test_that_is_named_is_found"
    ),
    r'make [a-z0-9-]+( \w+=\w+)?|eval "\$\(make -s \S+\)"': (
        "tests/docs/test_commands.py::test_a_target_that_is_named_is_there"
    ),
    r"sed .*prometheus-rule.yaml .*|promtool .*": (
        "tests/monitoring/test_alerts.py::test_the_page_tells_how_to_get_them_without_the_operator"
    ),
}
# Commands that no test runs, and why. Keep it short.
NOT_RUN = {
    r"make (test|venv)": "all tests are run after `make venv`, and by `make test`",
    r"podman push .*": "needs a registry of images",
    r"make (lock|audit)( .*)?": "asks the package index; what it is made of has unit tests",
    r"kubectl -n quiesce-system (logs|rollout status) .*": "needs a kubelet, which no test bed has",
}
PARTS = re.compile(
    r"kubectl get -o yaml|kubectl patch --type=merge|kubectl quiesce <TAB>|ssh .*|"
    r"openstack compute service set --(up|down)|(helm|openstack) .*….*"
)
"""Of commands in running text: they name an option, and are not to be run so."""
DEMO = "README.md"
"""Its console is what `make demo` prints: tests/demo/test_demo.py compares it."""


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]) + sorted(
        (ROOT / "tests" / "beds").glob("*/README.md")
    )


@cache
def shown() -> tuple[Shown, ...]:
    """Every command once a page, in the order of the pages."""
    return tuple(dict.fromkeys(each for page in pages() for each in of_page(page)))


def of_page(page: Path) -> Iterator[Shown]:
    name = str(page.relative_to(ROOT))
    for block in _BLOCK.finditer(page.read_text()):
        console, text = block["kind"] == "console", dedent(block["text"])
        lines = re.findall(r"^\$ (.*)$" if console else r"^(.+)$", text, re.MULTILINE)
        if console and name != DEMO:
            lines = text.splitlines()
        for command in _whole(lines, console and name != DEMO):
            yield Shown(name, command, console)
    for span in _SPAN.finditer(_BLOCK_OF_ANY_KIND.sub("", page.read_text())):
        command = " ".join(span[1].split())
        if _INLINE.fullmatch(command) and not (
            _NAME.fullmatch(command) or PARTS.fullmatch(command)
        ):
            yield Shown(name, command, output=False, inline=True)


def _whole(lines: list[str], console: bool) -> Iterator[str]:
    """Commands, which may have several lines; in a console, output follows each."""
    waiting: list[str] = []
    for line in lines:
        begins = line.startswith("$ ")
        if console and not begins and not waiting:
            continue
        waiting.append(line.removeprefix("$ ") if console else line)
        command = "\n".join(waiting)
        if subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0:
            waiting = []
            if stripped := _COMMENT.sub("", command).strip():
                yield stripped


def of_procedures(each: Shown) -> bool:
    return not each.inline and _is_procedure(each)


def _is_procedure(each: Shown) -> bool:
    return each.page == "docs/first-drain.md" or each.page.startswith("docs/howto/")


@cache
def run_by_kubectl() -> tuple[Shown, ...]:
    """Those that tests/procedures/test_commands.py runs."""
    return tuple(
        each
        for each in shown()
        if _RUN_HERE.match(each.command)
        and not of_procedures(each)
        and not (each.page == DEMO and each.output)
        and not named(each, NOT_RUN)
        and not named(each, RUN_BY)
    )


@cache
def runs_on() -> tuple[Shown, ...]:
    """Those that it runs until they are stopped."""
    return tuple(each for each in shown() if re.fullmatch(RUNS_ON, each.command))


def named(each: Shown, table: dict[str, str]) -> str | None:
    """The pattern in the table that is the whole command."""
    return next((pattern for pattern in table if re.fullmatch(pattern, each.command)), None)
