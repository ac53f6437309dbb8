"""`explain` and `completion`: without a cluster."""

import difflib
import json
from argparse import Namespace

from quiesce.api.explanations import load, meanings
from quiesce.plugin import pages
from quiesce.plugin.complete import script
from quiesce.plugin.document import line
from quiesce.plugin.exits import Exit, Failed
from quiesce.plugin.terminal import Screen
from quiesce.plugin.view import printable


def explain(screen: Screen, flags: Namespace) -> Exit:
    tables = load()
    words = sorted({word for table in tables for row in table.rows for word in row.words})
    chosen = words if flags.word is None else [flags.word]
    found = {word: meanings(tables, word) for word in chosen}
    if flags.word is not None and not found[flags.word]:
        near = _near(flags.word, words)
        text = f"did you mean {', '.join(near)}? " if near else ""
        raise Failed(
            f"{printable(flags.word)} is no phase, condition, reason or state of a drain or "
            f"keyring: {text}`kubectl quiesce explain` lists all"
        )
    if flags.output:
        rows = [
            {
                "word": word,
                "says": each.table.says,
                "meaning": each.row.meaning,
                "action": each.row.action,
                "page": each.table.page,
            }
            for word, those in found.items()
            for each in those
        ]
        screen.show((line(json.dumps(rows)),))
    elif flags.word is None:
        screen.show(pages.all_words(tables))
    else:
        word = next(w for w in words if w.lower() == flags.word.lower())
        screen.show(pages.explanation(word, found[flags.word]))
    return Exit.DONE


def _near(word: str, words: list[str]) -> list[str]:
    lower = {each.lower(): each for each in words}
    within = [each for key, each in lower.items() if word.lower() in key]
    close = difflib.get_close_matches(word.lower(), lower, 3, 0.5)
    return (within or [lower[each] for each in close])[:3]


def completion(screen: Screen, flags: Namespace) -> Exit:
    screen.show(tuple(line(text) for text in script(flags.shell).splitlines()))
    return Exit.DONE
