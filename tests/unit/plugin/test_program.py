"""The program: flags, exit codes, what it loads, and what it shows where."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.plugin.build import now_of, recorded, view

from quiesce.api.drain import spec
from quiesce.plugin import arguments, complete
from quiesce.plugin.__main__ import main
from quiesce.plugin.complete import candidates, script
from quiesce.plugin.exits import Exit
from quiesce.plugin.pages import drain, overview
from quiesce.plugin.terminal import PlainScreen, RichScreen, screen
from quiesce.plugin.view import DrainView

ROOT = Path(__file__).parents[3]
SLOW = ("kubernetes", "pydantic", "rich", "kopf", "urllib3", "yaml", "openstack", "paramiko")
COMMANDS = (
    *("drain", "plan", "status", "confirm", "revert", "retry", "suspend", "resume", "restore"),
    *("explain", "completion"),
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("choices", "enum"),
    [
        (arguments.METHODS, spec.Method),
        (arguments.POLICIES, spec.ConfirmationPolicy),
        (arguments.AFTER_DRAIN, spec.AfterDrain),
        (arguments.WHILE_RUNNING, spec.WhileRunning),
        (arguments.ON_DELETE, spec.OnDelete),
        (arguments.SUSPENDED, spec.SuspendedPolicy),
    ],
)
def test_flags_have_the_values_of_the_api(choices: tuple[str, ...], enum: type[object]) -> None:
    assert set(choices) == {str(each) for each in enum}  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", [("--help",), ("explain", "Suspended"), ("drain", "--help")])
def test_what_needs_no_cluster_loads_nothing_slow(words: tuple[str, ...]) -> None:
    program = (
        "import atexit, sys; from quiesce.plugin.__main__ import main\n"
        f"atexit.register(lambda: print(*{set(SLOW)!r} & set(sys.modules), file=sys.stderr))\n"
        f"main({list(words)!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "operator")},
    )
    assert done.stdout
    assert done.stderr.split() == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nothing",),
        ("drain", "cmp1"),  # a method has no default: a reviewer must see it
        ("drain", "cmp1", "--method", "cold"),
        ("confirm", "cmp1"),
        ("revert", "cmp1", "web-1", "--all"),
        ("status", "--wat"),
        ("restore", "cmp1", "--wait", "soon"),
    ],
)
def test_a_wrong_flag_is_usage_and_one_line(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == Exit.USAGE
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_flags_of_kubectl_may_come_before_the_command() -> None:
    flags = arguments.parse(["-n", "cloud-a", "--context", "prod", "status", "cmp1"])
    assert (flags.namespace, flags.context, flags.user) == ("cloud-a", "prod", None)
    assert arguments.parse(["-n", "cloud-a", "status", "-n", "cloud-b"]).namespace == "cloud-b"
    assert names("-n", "cloud-a", "sta") == ["status"]


def test_confirm_without_servers_points_to_its_own_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["confirm", "cmp1"])
    assert "(see kubectl quiesce confirm --help)" in capsys.readouterr().err


def test_without_a_kubeconfig_it_says_where_it_looked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main(["status"]) == Exit.FAILED
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_an_unknown_word_fails_and_names_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "Suspend\x1b[2J"]) == Exit.FAILED
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "Suspended" in said


def test_explanations_are_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "LeftOff", "-o", "json"]) == Exit.DONE
    (found,) = json.loads(capsys.readouterr().out)
    assert found["word"] == "LeftOff"
    assert found["action"] == "start it; it is then moved again"


def test_every_exit_code_is_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(code.cause in said for code in Exit)


# Where it is shown


def test_a_terminal_gets_colors_and_a_pipe_gets_text() -> None:
    assert isinstance(screen(Terminal(), {"TERM": "xterm"}), RichScreen)
    assert isinstance(screen(io.StringIO(), {"TERM": "xterm"}), PlainScreen)
    assert isinstance(screen(Terminal(), {"TERM": "dumb"}), PlainScreen)
    assert isinstance(screen(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}), PlainScreen)


def test_without_rich_a_terminal_gets_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert isinstance(screen(Terminal(), {"TERM": "xterm"}), PlainScreen)


def test_a_name_is_no_markup() -> None:
    out = Terminal()
    rows = view("draining").problems
    found = view("draining", problems=[{"id": rows[0].id, "reason": "Busy", "name": "[red]x[/]"}])
    screen(out, {"TERM": "xterm"}).show(drain(found, now_of(found)))
    assert "[red]x[/]" in out.getvalue()


def test_a_long_command_is_not_wrapped_so_that_it_can_be_copied() -> None:
    out = Terminal()
    found = view("draining")
    screen(out, {"TERM": "xterm", "COLUMNS": "60"}).show(drain(found, now_of(found)))
    assert f"kubectl quiesce confirm cmp2 {found.problems[0].id} -n openstack" in out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_table_has_one_line_a_drain_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    out = Terminal()
    resource = recorded("draining")
    resource["metadata"]["name"] = resource["spec"]["host"] = "compute-07.example.org"
    found = DrainView.read(resource)
    page = overview([found, found], now_of(found), namespaces=False)
    screen(out, {"TERM": "xterm"}).show(page)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert text.count("\n") == 3
    assert text.count("compute-07.example.org   ") >= 2
    assert text.count("Draining   2/12") == 2
    assert ("moving 2 of 12" in text) == (width >= 80)


def test_a_live_page_replaces_the_one_before() -> None:
    out = Terminal()
    live = screen(out, {"TERM": "xterm"}).live()
    assert live is not None
    found = view("draining")
    with live:
        live.show(drain(found, now_of(found), live.size))
        live.show(overview([found], now_of(found), namespaces=False))
    assert out.getvalue().count("cmp2-web-03") == 1


# Completion


def names(*words: str) -> list[str]:
    return [name for name, _ in candidates(words, lambda _: [("cmp2", "Draining, cmp2")])]


def test_commands_flags_values_names_and_reasons_are_completed() -> None:
    assert names("") == list(COMMANDS)
    assert names("re") == ["revert", "retry", "resume", "restore"]
    assert names("drain", "--me") == ["--method"]
    assert names("drain", "--method", "L") == ["Live", "LiveThenCold"]
    assert names("status", "-n", "openstack", "c") == ["cmp2"]
    assert names("drain", "c") == []  # a host is not known to Kubernetes
    assert names("explain", "LeftO") == ["LeftOff"]
    assert names("completion", "") == ["bash", "zsh", "fish"]


def test_a_shell_gets_no_word_that_it_would_expand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """bash runs what stands in the words of `compgen -W`; an API server can name a drain as it
    likes.
    """
    listed = [("cmp1", "x"), ("$(touch x)", "x"), ("`id`", ""), ("a b", ""), ("\x1b[2J", "")]
    monkeypatch.setattr(complete, "_drains", lambda _: listed)
    assert complete.main(["status", ""]) == 0
    assert capsys.readouterr().out == "cmp1\tx\n:4\n"


@pytest.mark.parametrize("shell", arguments.SHELLS)
def test_every_shell_has_a_script(shell: str) -> None:
    assert "kubectl_complete-quiesce" in script(shell)


def test_bash_completes_with_its_script(tmp_path: Path) -> None:
    program = tmp_path / "kubectl_complete-quiesce"
    program.write_text("#!/bin/sh\nprintf 'status\\tshow drains\\nsuspend\\tstop\\n:4\\n'\n")
    program.chmod(0o755)
    typed = "COMP_WORDS=(kubectl-quiesce s); COMP_CWORD=1; _kubectl_quiesce; echo ${COMPREPLY[@]}"
    done = subprocess.run(
        ["bash", "-c", f"{script('bash')}\n{typed}"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.stdout.split() == ["status", "suspend"]
