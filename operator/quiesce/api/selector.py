"""PURE. A Kubernetes label selector, as `kubectl get -l` takes it.

`a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas: all must hold.
As in Kubernetes, `!=` and `notin` also hold where the label is absent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?/)?{_NAME}")
_VALUE = re.compile(rf"({_NAME})?")
_LONGEST = 4096
_SET = re.compile(r"(\S+)\s+(in|notin)\s*\(([^()]*)\)")
_EQUAL = re.compile(r"([^=!\s]+)\s*(==|=|!=)\s*(\S*)")


class Op(StrEnum):
    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    op: Op
    values: frozenset[str] = frozenset()

    def holds(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.op is Op.IN:
            return value in self.values
        if self.op is Op.NOT_IN:
            return value not in self.values
        return (value is None) is (self.op is Op.ABSENT)

    def excludes(self, other: Self) -> bool:
        """Whether no labels meet both."""
        if self.key != other.key:
            return False
        ops = {self.op, other.op}
        if Op.ABSENT in ops:
            return bool(ops & {Op.EXISTS, Op.IN})
        if ops == {Op.IN}:
            return not self.values & other.values
        if ops == {Op.IN, Op.NOT_IN}:
            wanted, unwanted = (self, other) if self.op is Op.IN else (other, self)
            return wanted.values <= unwanted.values
        return False

    def __str__(self) -> str:
        if self.op in (Op.EXISTS, Op.ABSENT):
            return self.key if self.op is Op.EXISTS else f"!{self.key}"
        return f"{self.key} {self.op.value} ({','.join(sorted(self.values))})"


@dataclass(frozen=True, slots=True)
class Selector:
    """Without requirements it selects everything. The text of two that mean the same is the same
    where they are written in the same terms.
    """

    requirements: frozenset[Requirement] = frozenset()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError that says which part is wrong."""
        if len(text) > _LONGEST:
            raise ValueError(f"a label selector of more than {_LONGEST} characters")
        parts = [part.strip() for part in _split(text)]
        if parts == [""]:
            return cls()
        return cls(frozenset(map(_requirement, parts)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(requirement.holds(labels) for requirement in self.requirements)

    def excludes(self, other: Self) -> bool:
        """Whether it is certain that no resource is selected by both."""
        return any(a.excludes(b) for a in self.requirements for b in other.requirements)

    def __bool__(self) -> bool:
        return bool(self.requirements)

    def __str__(self) -> str:
        return ",".join(sorted(map(str, self.requirements)))


def _split(text: str) -> list[str]:
    """At commas outside of parentheses."""
    parts, inside = [""], False
    for character in text:
        inside = character == "(" or (inside and character != ")")
        if character == "," and not inside:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _requirement(part: str) -> Requirement:
    if found := _SET.fullmatch(part):
        values = frozenset(value.strip() for value in found[3].split(","))
        return Requirement(_key(found[1], part), Op(found[2]), _values(values, part))
    if found := _EQUAL.fullmatch(part):
        op = Op.NOT_IN if found[2] == "!=" else Op.IN
        return Requirement(_key(found[1], part), op, _values(frozenset({found[3]}), part))
    absent = part.startswith("!")
    return Requirement(_key(part.lstrip("!").strip(), part), Op.ABSENT if absent else Op.EXISTS)


def _key(key: str, part: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"{part!r} is no part of a label selector: write KEY=VALUE, KEY!=VALUE, "
            "KEY in (A,B), KEY notin (A,B), KEY or !KEY, joined by commas"
        )
    return key


def _values(values: frozenset[str], part: str) -> frozenset[str]:
    for value in values:
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{value!r} in {part!r} is no value of a label")
    return values
