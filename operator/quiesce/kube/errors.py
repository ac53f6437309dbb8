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
    """404: the object, or the namespace it should be in, is not there."""


class KubeKindUnknown(KubeError):
    """404 for a whole kind: its CRD is not installed. Says nothing of any object."""


class KubeRejected(KubeError):
    """The API server does not take what we sent: another 4xx, or a status that is not of the CRD's schema."""


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


_NOT_IN_SCHEMA = "failed to create typed patch object"


def call(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """One request through a method of the kubernetes client, with a time limit; raises KubeError only."""
    try:
        answer = method(*args, _request_timeout=TIMEOUT, **kwargs)
    except ApiException as error:
        raise _kube_error(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise KubeUnavailable(f"the API server does not answer: {_cause(error)}") from error
    except json.JSONDecodeError as error:
        raise KubeUnavailable(
            f"the API server's answer is cut short or no JSON: {error}"
        ) from error
    if not answer:
        raise KubeUnavailable("the API server's answer is empty")
    return answer


def _kube_error(error: ApiException) -> KubeError:
    status, told = error.status or 0, _told(error)
    if status == 404 and not _said(error).get("details", {}).get("name"):
        return KubeKindUnknown(f"{told}; is the CRD installed? kubectl apply -k crds")
    if status == 500 and _NOT_IN_SCHEMA in told:  # server-side apply has no better code for it
        return KubeRejected(f"{told}; is the installed CRD of this version? kubectl apply -k crds")
    if status == 0 or status >= 500:  # 0: TLS trouble, or an answer that is not the API server's
        return KubeUnavailable(f"the API server cannot serve this ({told})")
    return _BY_STATUS.get(status, KubeRejected)(told)


def _told(error: ApiException) -> str:
    """The API server's own words; else the HTTP reason."""
    message = _said(error).get("message") or error.reason
    return f"HTTP {error.status}: {message}" if error.status else str(message)


def _said(error: ApiException) -> dict[str, Any]:
    """The Status object that the API server sends with an error; {} if there is none."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None)
    return str(reason if reason is not None else error)
