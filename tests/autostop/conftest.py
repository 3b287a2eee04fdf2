from collections.abc import Iterator

import pytest

from tests.autostop.metrics_server import MetricsServer, metrics_server
from tests.autostop.rows import NOW


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricsServer]:
    """A metrics provider on a socket; passes meet it through the real client."""
    with metrics_server(NOW) as server:
        client = server.client()
        monkeypatch.setattr("autostop.passes.novita", lambda: client)
        yield server
        client.close()
