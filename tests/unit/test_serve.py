"""Which parser reads requests, and what the command line takes. The rest is tests/stack/test_processes.py."""

import asyncio
import gc
from collections.abc import Iterator

import httptools
import pytest
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runtime.serve import arguments, require_httptools, serve, settle_memory
from runtime.settingserror import SettingsError

pytestmark = pytest.mark.unit


class OwnProtocol(asyncio.Protocol):
    request_parser = httptools.HttpRequestParser


@pytest.mark.parametrize("http", [HttpToolsProtocol, OwnProtocol])
def test_httptools_may_read_requests(http: type[asyncio.Protocol]) -> None:
    require_httptools(http)


@pytest.mark.parametrize("http", [H11Protocol, asyncio.Protocol])
def test_nothing_else_may(http: type[asyncio.Protocol]) -> None:
    with pytest.raises(SettingsError, match=f"by httptools alone, and {http.__name__} does not"):
        require_httptools(http)


def test_a_process_with_another_parser_does_not_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class App:
        protocol = H11Protocol

    given = arguments("small", None).parse_args([])
    assert serve("small", given, lambda settings: App(), lambda s: ("127.0.0.1", 0)) == 2
    assert capsys.readouterr().err.startswith("small: requests are read by httptools alone")


def test_only_a_group_has_processes() -> None:
    assert arguments("gateway", None, group=True).parse_args(["--processes", "3"]).processes == 3
    with pytest.raises(SystemExit):
        arguments("services", None).parse_args(["--processes", "3"])


@pytest.fixture
def usual_collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("usual_collector")
def test_what_the_start_made_is_not_collected_again() -> None:
    settle_memory()
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[0] > 700
