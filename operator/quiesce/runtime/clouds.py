"""The connection to the cloud that a resource names: every kind has `spec.cloudCredentialsRef`."""

from pydantic import ValidationError

from quiesce.api.errors import BadCredentials, InvalidSpec
from quiesce.api.labels import CLOUD_CREDENTIALS, not_released
from quiesce.api.model import CloudCredentialsRef
from quiesce.kube.resource import Resource
from quiesce.openstack.cloud import Cloud
from quiesce.runtime.kinds import Context
from quiesce.runtime.turn import joins


def cloud_of(context: Context, resource: Resource) -> Cloud:
    """An authenticated connection, shared by all resources with the same Secret and cloud name.

    Raises BadCredentials, CloudUnreachable, CloudTooOld, InvalidSpec, KubeError, Postponed.
    """
    ref, namespace = credentials_ref(resource), resource.key.namespace
    secret = context.secrets.recent(namespace, ref.secret_name)
    if secret is None:
        raise BadCredentials(
            f"Secret {namespace}/{ref.secret_name} does not exist: "
            f"create it with a key clouds.yaml that has a cloud named {ref.cloud_name!r}, and the "
            f"label {CLOUD_CREDENTIALS}=true"
        )
    if not secret.allows(CLOUD_CREDENTIALS):
        raise BadCredentials(not_released(namespace, ref.secret_name, CLOUD_CREDENTIALS))
    return context.clouds.get(secret, ref.cloud_name, joins)


def forget_cloud(context: Context, resource: Resource) -> None:
    """Its credentials were refused: the next tick makes a new connection. Raises KubeError."""
    ref, namespace = credentials_ref(resource), resource.key.namespace
    context.secrets.forget(namespace, ref.secret_name)
    secret = context.secrets.recent(namespace, ref.secret_name)
    if secret is not None:
        context.clouds.forget(secret, ref.cloud_name)


def forget_secret(context: Context, resource: Resource) -> None:
    """A person has changed the resource, and perhaps its Secret a moment before: the next tick
    reads it.
    """
    try:
        ref = credentials_ref(resource)
    except InvalidSpec:
        return
    context.secrets.forget(resource.key.namespace, ref.secret_name)


def credentials_ref(resource: Resource) -> CloudCredentialsRef:
    """Raises InvalidSpec."""
    try:
        return CloudCredentialsRef.model_validate(resource.spec.get("cloudCredentialsRef") or {})
    except ValidationError as error:
        raise InvalidSpec("spec.cloudCredentialsRef is not valid: correct the manifest") from error
