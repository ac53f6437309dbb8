"""One line of the operator's log in JSON (`--log-format json`), as a schema.

    python -m tools.log_schema > docs/log.schema.json

A test holds the lines of a real process to it. Fields may be added; none changes its meaning.
"""

import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quiesce.api.drain.reasons import Stage
from quiesce.drain.model.steps import State

_STATES = sorted(
    {*map(str, Stage), *(word for name, word in vars(State).items() if name.isupper())}
    - {Stage.STUCK.value}
)
_OF_A_TRANSITION = ("drain", "server", "server_name", "attempt")
_KEY = r"^[a-z0-9-]+/[a-z0-9.-]+$"
_UUID = r"^[0-9A-Za-z-]{1,64}$"


class Line(BaseModel):
    """A line with `state` says that a server stands elsewhere than before: one line per transition.

    Where a call to Nova is the transition, the line is that of the call, with its request ID; it
    says `refused` or `not answered` where Nova has not accepted it.
    """

    model_config = ConfigDict(
        extra="forbid",
        title="A line of the log of Quiesce",
        json_schema_extra={
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "dependentRequired": {"state": list(_OF_A_TRANSITION)},
        },
    )

    time: Annotated[
        str,
        Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", description="RFC 3339, in UTC"),
    ]
    level: Literal["debug", "info", "warning", "error", "critical"]
    logger: Annotated[str, Field(description="The module that says it")]
    message: Annotated[str, Field(description="For people; may change at any time")]
    exception: str | None = Field(None, description="A traceback")

    drain: str | None = Field(None, pattern=_KEY, description="NAMESPACE/NAME")
    keyring: str | None = Field(None, pattern=_KEY, description="NAMESPACE/NAME")
    event: str | None = Field(None, description="Reason of the Kubernetes Event that it is as well")
    host: str | None = Field(None, description="The compute host that a call is about")
    kind: str | None = Field(None, description="drain or keyring, of a line about all of them")
    object: str | None = Field(None, description="Of an Event that could not be recorded")

    server: str | None = Field(None, pattern=_UUID, description="Its ID in Nova")
    server_name: str | None = None
    state: str | None = Field(
        None, description="Where the server stands now", json_schema_extra={"enum": [*_STATES]}
    )
    before: str | None = Field(None, description="State, and reason in parentheses, before")
    reason: str | None = Field(None, description="Why it waits, is blocked or held")
    attempt: int | None = Field(None, ge=0, description="The last one that has begun; 0: none yet")
    method: str | None = Field(None, description="cold, live, offload or resume")
    migration: str | None = Field(None, pattern=_UUID, description="uuid of Nova's record of it")
    destination: str | None = None
    request_id: str | None = Field(
        None,
        pattern=r"^[0-9A-Za-z-]*$",
        description="Nova's own (req-…): of the call, or of the last one for the server that this "
        "process has made",
    )
    seconds: float | None = Field(
        None,
        ge=0,
        description="How long a request took; of a server that has left, since its "
        "first move began",
    )
    omitted: int | None = Field(None, ge=1, description="Lines of this resource that are left out")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """As dependentRequired and enum say."""
        if self.state is not None:
            missing = [name for name in _OF_A_TRANSITION if getattr(self, name) is None]
            if missing or self.state not in _STATES:
                raise ValueError(f"a transition to {self.state} without {missing}")
        return self


def main() -> None:
    print(json.dumps(Line.model_json_schema(), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
