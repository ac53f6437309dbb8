"""What the specs of all resources are made of."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

from quiesce.api import durations

Seconds = Annotated[
    float, BeforeValidator(lambda v: durations.seconds(v) if isinstance(v, str) else v)
]


class Model(BaseModel):
    """Frozen; camelCase outside; a field that this program does not know is an error, not
    ignored.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class CloudCredentialsRef(Model):
    secret_name: str = "openstack-clouds"  # noqa: S105 -- the name of a Secret, not a secret
    cloud_name: str = "openstack"
