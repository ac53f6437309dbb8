"""Completion. kubectl (1.26 and newer) runs kubectl_complete-quiesce with the words typed so far
and reads candidates, one a line, then a directive, as of cobra; the scripts for kubectl-quiesce
itself run the same program.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from quiesce.plugin.arguments import Parser, parser

_WORD = re.compile(r"[A-Za-z0-9._=:/-]{1,253}")
_NO_FILES = ":4"  # cobra.ShellCompDirectiveNoFileComp
_PATIENCE = 3.0  # seconds for the names of drains: a person waits for the prompt

_BASH = """\
_kubectl_quiesce() {
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "$(kubectl_complete-quiesce "${COMP_WORDS[@]:1:COMP_CWORD}" \\
        2>/dev/null | grep -v '^:[0-9]*$' | cut -f1)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _kubectl_quiesce kubectl-quiesce
"""
_ZSH = """\
#compdef kubectl-quiesce
_kubectl_quiesce() {
    local -a found
    found=(${(f)"$(kubectl_complete-quiesce "${(@)words[2,CURRENT]}" 2>/dev/null \\
        | grep -v '^:[0-9]*$' | cut -f1)"})
    compadd -a found
}
compdef _kubectl_quiesce kubectl-quiesce
"""
_FISH = """\
function __kubectl_quiesce
    set -l words (commandline -opc)
    kubectl_complete-quiesce $words[2..] (commandline -ct) 2>/dev/null | string match -rv '^:\\d+$'
end
complete -c kubectl-quiesce -f -a '(__kubectl_quiesce)'
"""


def script(shell: str) -> str:
    """For kubectl-quiesce under that shell."""
    return {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}[shell]


def main(argv: Sequence[str] | None = None) -> int:
    """Prints candidates for the last word, which may be empty."""
    words = list(sys.argv[1:] if argv is None else argv) or [""]
    for name, text in candidates(words, _drains):
        if _WORD.fullmatch(name):  # bash expands what compgen -W is given
            print(f"{name}\t{text}" if text else name)
    print(_NO_FILES)
    return 0


Named = tuple[str, str]
"""A candidate and what it is."""


def candidates(
    words: Sequence[str], drains: Callable[[Sequence[str]], Iterable[Named]]
) -> list[Named]:
    """`words`: after `kubectl quiesce`; the last one is being typed. `drains`: names, asked only
    where one is due.
    """
    *before, typed = words
    commands = _commands(parser())
    command = next((word for word in before if word in commands), None)
    if command is None:
        known = [(name, text) for name, (_, text) in commands.items()]
    else:
        known = list(_of_command(commands[command][0], command, before, typed, drains))
    return [pair for pair in known if pair[0].startswith(typed)]


def _of_command(
    flags: Parser,
    command: str,
    before: Sequence[str],
    typed: str,
    drains: Callable[[Sequence[str]], Iterable[Named]],
) -> Iterable[Named]:
    options = {text: each for each in flags._actions for text in each.option_strings}
    asked = options.get(before[-1])
    if asked is not None and asked.nargs != 0:
        return [(str(choice), "") for choice in asked.choices or ()]
    if typed.startswith("-"):
        return [(text, each.help or "") for text, each in options.items() if len(text) > 2]
    positional = next((each for each in flags._actions if not each.option_strings), None)
    if positional is None:
        return []
    if positional.choices:
        return [(str(choice), "") for choice in positional.choices]
    if command == "explain":
        return _reasons()
    return drains(before) if positional.metavar == "NAME" else []


def _commands(top: Parser) -> dict[str, tuple[Parser, str]]:
    group = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    texts = {each.dest: each.help or "" for each in group._choices_actions}
    return {name: (made, texts[name]) for name, made in group.choices.items()}


def _reasons() -> list[Named]:
    from quiesce.api.explanations import load

    return [
        (word, table.says) for table in load() for row in table.rows for word in sorted(row.words)
    ]


def _drains(before: Sequence[str]) -> list[Named]:
    """Of the namespace and context that these words name. None where they cannot be read: nobody
    wants an error in the middle of a line.
    """
    from quiesce.plugin.cluster import connect
    from quiesce.plugin.view import DrainView

    def value(*flags: str) -> str | None:
        return next((b for a, b in pairwise(before) if a in flags), None)

    try:
        cluster = connect(
            value("--kubeconfig"), value("--context"), value("-n", "--namespace"), value("--as")
        )
        found, _ = cluster.list(cluster.namespace, patience=_PATIENCE)
        views = [DrainView.read(each) for each in found]
    except Exception:  # noqa: BLE001
        return []
    return [(view.name, f"{view.phase}, {view.host}") for view in views]


if __name__ == "__main__":
    sys.exit(main())
