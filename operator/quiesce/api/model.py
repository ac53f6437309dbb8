"""What the specs of all resources are made of."""

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from quiesce.api import durations
from quiesce.api.errors import InvalidSpec

Seconds = Annotated[
    float, BeforeValidator(lambda v: durations.seconds(v) if isinstance(v, str) else v)
]


class Model(BaseModel):
    """Frozen; camelCase outside; a field that this program does not know is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Spec(Model):
    """The whole `spec` of a kind."""

    @classmethod
    def read(cls, spec: object) -> Self:
        """From JSON. Raises InvalidSpec that names each field at fault."""
        try:
            return cls.model_validate(spec)
        except ValidationError as error:
            faults = "; ".join(
                f"spec.{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
                for fault in error.errors(include_url=False, include_input=False)
            )
            raise InvalidSpec(
                f"{faults}: correct the manifest. If it is correct, the CRD and the operator are "
                "of different versions: install both from one release"
            ) from error


class CloudCredentialsRef(Model):
    secret_name: str = "openstack-clouds"  # noqa: S105 -- the name of a Secret, not a secret
    cloud_name: str = "openstack"
