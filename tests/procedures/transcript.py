"""What a page of docs/ has a person do, step by step, and whether what is printed is what it shows.

A page shows its commands and their output in blocks of the language `console`; a command begins
with `$ `. A block of the language `yaml` that begins with the comment `# NAME.yaml` is that file.
A comment `<!-- person: VERB HOST -->` is what a person does elsewhere, in words, at this point.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

_STEP = re.compile(
    r"^```yaml\n# (?P<name>[\w-]+\.yaml)\n(?P<text>.*?)^```"
    r"|^```console\n(?P<console>.*?)^```"
    r"|^<!-- person: (?P<person>.+?) -->",
    re.MULTILINE | re.DOTALL,
)
_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_AGE = r"\b(?:\d+[dhms])+\b"
_TOKEN = re.compile(rf"(?P<id>{_ID})|(?P<age>{_AGE})|(?P<any>…)|(?P<blank>\s+)")


@dataclass(frozen=True)
class File:
    """A file that the reader writes."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """`output`: what the page shows after it, a line each."""

    command: str
    output: tuple[str, ...]


@dataclass(frozen=True)
class Deed:
    """What a person does elsewhere."""

    words: tuple[str, ...]


Step = File | Command | Deed


def steps(page: str) -> Iterator[Step]:
    """In the order of the page."""
    for found in _STEP.finditer(page):
        if found["name"]:
            yield File(found["name"], found["text"])
        elif found["person"]:
            yield Deed(tuple(found["person"].split()))
        else:
            yield from _commands(found["console"])


def _commands(console: str) -> Iterator[Command]:
    for part in re.split(r"^\$ ", console, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        end = next(n for n in range(1, len(lines) + 1) if _is_whole("\n".join(lines[:n])))
        yield Command("\n".join(lines[:end]), tuple(lines[end:]))


def _is_whole(command: str) -> bool:
    """Whether a shell would begin it: no quote is open, and no line goes on."""
    try:
        shlex.split(command)
    except ValueError:
        return False
    return not command.endswith("\\")


@dataclass
class Ids:
    """Which real ID stands for each that the page shows."""

    real: dict[str, str] = field(default_factory=dict)

    def in_command(self, command: str) -> str:
        """With real IDs. An ID that no output has shown before stays as it is."""
        return re.sub(_ID, lambda match: self.real.get(match.group(), match.group()), command)

    def match(self, shown: str, printed: str) -> bool:
        """Whether a printed line is the shown one.

        Times and the width of gaps are not compared, and `…` is anything. Learns IDs.
        """
        pattern, new = "", dict[str, str]()
        last = 0
        for token in _TOKEN.finditer(shown):
            pattern += re.escape(shown[last : token.start()])
            last = token.end()
            if id_ := token["id"]:
                if id_ in self.real:
                    pattern += re.escape(self.real[id_])
                else:
                    pattern += f"(?P<i{len(new)}>{_ID})"
                    new[f"i{len(new)}"] = id_
            else:
                pattern += _AGE if token["age"] else ".*" if token["any"] else r"\s+"
        found = re.fullmatch(pattern + re.escape(shown[last:]) + r"\s*", printed)
        if found:
            self.real |= {new[group]: id_ for group, id_ in found.groupdict().items()}
        return found is not None

    def same(self, shown: tuple[str, ...], printed: list[str]) -> bool:
        """Line by line; a line `…` is any number of lines."""
        if not shown:
            return not printed
        if shown[0].strip() == "…":
            return any(self.same(shown[1:], printed[n:]) for n in range(len(printed) + 1))
        return (
            bool(printed) and self.match(shown[0], printed[0]) and self.same(shown[1:], printed[1:])
        )
