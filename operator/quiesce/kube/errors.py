"""What can go wrong with the API server, as types: the type says what to do about it."""

import json
import re
from collections.abc import Callable
from typing import Any

import urllib3
from kubernetes.client.exceptions import ApiException

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and to wait for each read: every call to the API server has a limit."""


class KubeError(Exception):
    """A request to the API server failed. The text is for people and has no secret."""


class KubeUnavailable(KubeError):
    """No answer, or one that proves nothing: refused, reset, timed out, 429, 5xx, broken JSON.

    Reconcile again.
    """


class KubeConflict(KubeError):
    """409: the object changed since it was read. Read it again."""


class KubeForbidden(KubeError):
    """401 or 403: who we are, or what we may do. The text names the verb and the resource."""


class KubeNotFound(KubeError):
    """404: the object, or the namespace it should be in, is not there."""


class KubeKindUnknown(KubeError):
    """404 for a whole kind: its CRD is not installed. Says nothing of any object."""


class KubeRejected(KubeError):
    """The API server rejects what we sent: another 4xx, or a status against the CRD's schema."""


class KubeExpired(KubeRejected):
    """410: the requested page is of a list that has expired. List again from the start."""


_BY_STATUS: dict[int, type[KubeError]] = {
    401: KubeForbidden,
    403: KubeForbidden,
    404: KubeNotFound,
    409: KubeConflict,
    410: KubeExpired,
    429: KubeUnavailable,
}


_NOT_IN_SCHEMA = "failed to create typed patch object"


def call(
    method: Callable[..., Any],
    *args: Any,
    timeout: tuple[float, float] = TIMEOUT,
    **kwargs: Any,
) -> Any:
    """One request by a method of the kubernetes client, with a time limit. Raises KubeError."""
    try:
        answer = method(*args, _request_timeout=timeout, **kwargs)
    except ApiException as error:
        raise _kube_error(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise KubeUnavailable(f"the API server does not answer: {_cause(error)}") from error
    except json.JSONDecodeError as error:
        raise KubeUnavailable(
            f"the API server's answer is incomplete or not JSON: {error}"
        ) from error
    if not answer:
        raise KubeUnavailable("the API server's answer is empty")
    return answer


def _kube_error(error: ApiException) -> KubeError:
    status, message = error.status or 0, _message(error)
    if status == 404 and not _status_object(error).get("details", {}).get("name"):
        return KubeKindUnknown(f"{message}; is the CRD installed? kubectl apply -k crds")
    if status == 500 and _NOT_IN_SCHEMA in message:  # server-side apply has no better code for it
        return KubeRejected(f"{message}; does the CRD match this version? kubectl apply -k crds")
    if status == 0 or status >= 500:  # 0: TLS failure, or an answer that is not the API server's
        return KubeUnavailable(f"the API server cannot serve this request ({message})")
    return _BY_STATUS.get(status, KubeRejected)(message)


def _message(error: ApiException) -> str:
    """The API server's own message; else the HTTP reason."""
    message = _status_object(error).get("message") or error.reason
    return f"HTTP {error.status}: {message}" if error.status else str(message)


def _status_object(error: ApiException) -> dict[str, Any]:
    """The Status that the API server sends with an error; {} if there is none."""
    try:
        body = json.loads(error.body or "")
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


_POOL = re.compile(r"\w+\(host='([^']*)', port=(\d+)\)")  # how urllib3 names a connection


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return _POOL.sub(r"\1:\2", str(reason if reason is not None else error))
