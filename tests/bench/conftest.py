"""The benches use the same real beds as the stories."""

from tests.e2e.conftest import (
    account,
    cloud,
    cloud_bed,
    credentials,
    host,
    hosts,
    kube,
    kube_bed,
    namespace,
    tidy_end,
)

__all__ = [
    "account",
    "cloud",
    "cloud_bed",
    "credentials",
    "host",
    "hosts",
    "kube",
    "kube_bed",
    "namespace",
    "tidy_end",
]
