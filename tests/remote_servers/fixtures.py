"""pytest fixtures: each server once a session. Tests that use nginx are marked `needs("nginx")`."""

from __future__ import annotations

import pytest

from tests.remote_servers import servers
from tests.remote_servers.fault_proxy import FaultProxy


def _once_a_session(start):
    @pytest.fixture(scope="session")
    def server(tmp_path_factory):
        with start(tmp_path_factory.mktemp("server")) as started:
            yield started

    return server


moto = _once_a_session(servers.moto)
rclone = _once_a_session(servers.rclone)
nginx = _once_a_session(servers.nginx)


@pytest.fixture
def proxy_to():
    """A function from a server to a `FaultProxy` in front of it."""
    started = []

    def proxy_to(server):
        proxy = FaultProxy(server.base)
        started.append(proxy)
        return proxy

    yield proxy_to
    for proxy in started:
        proxy.close()
