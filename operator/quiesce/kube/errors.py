"""What can go wrong between us and the API server, as types: the type says what to do about it."""

import json
from collections.abc import Callable
from typing import Any

import urllib3
from kubernetes.client.exceptions import ApiException

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and to wait for each read: no call to the API server is without a limit."""


class KubeError(Exception):
    """A request to the API server did not do what it should. The text is for people and holds no secret."""


class KubeUnavailable(KubeError):
    """No answer, or one that proves nothing: refused, reset, timed out, 429, 5xx, broken JSON. Look again."""


class KubeConflict(KubeError):
    """409: the object changed since it was read. Read it again."""


class KubeForbidden(KubeError):
    """401 or 403: who we are, or what we may do. The API server's text names the verb and the resource."""


class KubeNotFound(KubeError):
    """404: the object, its namespace or its whole kind is not there."""


class KubeRejected(KubeError):
    """Another 4xx: the API server does not take what we sent."""


class KubeExpired(KubeRejected):
    """410: the page that was asked for is of a list that is gone. List again from the start."""


_BY_STATUS: dict[int, type[KubeError]] = {
    401: KubeForbidden,
    403: KubeForbidden,
    404: KubeNotFound,
    409: KubeConflict,
    410: KubeExpired,
    429: KubeUnavailable,
}


def call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """One request through a method of the kubernetes client, with a time limit; raises KubeError only."""
    try:
        answer = method(*args, _request_timeout=TIMEOUT, **kwargs)
    except ApiException as error:
        raise _kube_error(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise KubeUnavailable(f"the API server does not answer: {_cause(error)}") from error
    except json.JSONDecodeError as error:
        raise KubeUnavailable(f"the API server's answer is cut short or no JSON: {error}") from error
    if not answer:
        raise KubeUnavailable("the API server's answer is empty")
    return answer


def _kube_error(error: ApiException) -> KubeError:
    status = error.status or 0
    if status == 0 or status >= 500:  # 0: TLS trouble, or an answer that is not the API server's
        return KubeUnavailable(f"the API server cannot serve this ({_told(error)})")
    return _BY_STATUS.get(status, KubeRejected)(_told(error))


def _told(error: ApiException) -> str:
    """The message of the Status object that the API server sends; else the HTTP reason."""
    try:
        message = json.loads(error.body or "")["message"]
    except (ValueError, TypeError, KeyError):
        message = error.reason
    return f"HTTP {error.status}: {message}" if error.status else str(message)


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason if reason is not None else error)
