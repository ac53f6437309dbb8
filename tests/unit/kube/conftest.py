from collections.abc import Iterator

import pytest
from tests.unit.kube.fake_api import FakeApi, serving


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with serving() as fake:
        yield fake
