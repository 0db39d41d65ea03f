"""What all tests share: the event loop, who may open sockets, and the plugins with the tiers and the engines."""

import pytest

pytest_plugins = (
    "tests.compiled_form",  # first: it decides how the others' imports come
    "tests.tier_plugin",
    "tests.engines",
    "tests.sandboxes",
    "tests.standin_server",
    "tests.services_world",
    "tests.services_writing",
    "tests.world",
)

_REACH_LOOPBACK = ("stack", "crash", "browser", "node")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Coroutine tests run on asyncio, all in one loop, so that session-wide fixtures may be coroutines as well."""
    return "asyncio"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Unit, contract and flow tests open no socket; the others reach loopback and nothing else."""
    for item in items:
        if any(item.get_closest_marker(tier) for tier in _REACH_LOOPBACK):
            item.add_marker(pytest.mark.allow_hosts(["127.0.0.1", "::1"]))
