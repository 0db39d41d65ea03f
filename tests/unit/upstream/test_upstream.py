"""What an `Upstream` accepts as its own address and as a request."""

import pytest

from runtime.upstream.errors import UpstreamError
from runtime.upstream.retry_budget import RetryBudget
from runtime.upstream.transport import RAISED
from runtime.upstream.upstream import Upstream
from tests.raw_upstream import Heard

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "url",
    ["http://user:secret@host/", "http://host/a b", "http://host/\x7f", "http://host/ä", "//host"],
)
def test_a_base_url_that_is_more_than_an_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL") as error:
        Upstream("x", url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "target",
    [b"", b"x", b"@evil", b"/a b", b"/a\r\n", b"/a\nb", b"/\0", b"/a HTTP/1.1", b"/\t", b"/\x7f"],
)
async def test_a_target_that_is_not_one_word_is_refused(target: bytes) -> None:
    upstream = Upstream("x", "http://host")
    with pytest.raises(ValueError, match="one word"):
        upstream.begin("GET", target, (), Heard())
    assert upstream.connections == 0


async def test_a_target_stays_below_the_base() -> None:
    with pytest.raises(ValueError, match="one word"):
        Upstream("x", "http://host/base").begin("GET", b"ment", (), Heard())


@pytest.mark.parametrize("method", ["", "GET /", "GET\r\n", "GÉT"])
async def test_a_method_that_is_no_token_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="one word"):
        Upstream("x", "http://host").begin(method, b"/", (), Heard())


@pytest.mark.parametrize(
    "header",
    [
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\r\n\r\nGET / HTTP/1.1"),
        (b"a", b"b\nc"),
        (b"a", b"b\rc"),
        (b"a", b"b\0"),
        (b"a\r\nb", b"c"),
    ],
)
async def test_a_header_that_would_be_two_is_refused(header: tuple[bytes, bytes]) -> None:
    with pytest.raises(ValueError, match="line end"):
        Upstream("x", "http://host").begin("GET", b"/", [header], Heard())


def test_every_error_of_the_pool_is_one_of_httpx() -> None:
    assert set(RAISED) == set(UpstreamError.__subclasses__())


async def test_a_repetition_by_the_caller_is_charged_as_one() -> None:
    budget = RetryBudget()
    upstream = Upstream("x", "http://127.0.0.1:1", retries=budget)
    for repeated in (False, True):
        head = upstream.start("GET", b"/")
        upstream.begin_head("GET", head, Heard(), repeated=repeated).cancel()
    assert (budget._requests.total(), budget._retries.total()) == (1, 1)
    await upstream.close()
