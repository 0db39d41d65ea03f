"""TLS to an upstream: verified against the configured authorities, 1.2 or newer, or there is no connection."""

import ssl
from pathlib import Path

import pytest

from runtime.settingserror import SettingsError
from runtime.upstream.configured import client_context
from runtime.upstream.errors import UpstreamUnreachable
from runtime.upstream.upstream import Upstream
from tests.authority import Authority
from tests.raw_upstream import OK, Heard, Peer, answering, serving, soon

pytestmark = pytest.mark.stack

HTTPS = "https://127.0.0.1:{port}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_a_good_certificate_and_a_kept_connection(authority: Authority) -> None:
    tls = client_context(authority.file)
    async with serving(answering(OK), tls=authority.server(), url=HTTPS, trust=tls) as here:
        for method in ("GET", "POST", "GET"):
            assert (await here.upstream.fetch(method, b"/x")).body == b"ok"
        spoken = here.peers[0].writer.get_extra_info("ssl_object")
        assert spoken.version() in ("TLSv1.2", "TLSv1.3")
    assert len(here.peers) == 1


async def test_a_large_answer_and_a_pause_over_tls(authority: Authority) -> None:
    body = bytes(range(256)) * 4096

    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await peer.end()

    tls = client_context(authority.file)
    async with serving(script, tls=authority.server(), url=HTTPS, trust=tls) as here:
        heard = Heard()
        exchange = here.upstream.begin("GET", b"/x", (), heard)
        await soon(lambda: heard.status)
        exchange.pause()
        exchange.resume()
        await soon(lambda: heard.over)
        assert bytes(heard.body) == body


def old(context: ssl.SSLContext) -> ssl.SSLContext:
    """TLS 1.1 only, if this OpenSSL still speaks it at all."""
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.mark.parametrize(
    "kind", ["expired", "self-signed", "wrong host", "unknown authority", "TLS 1.1"]
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # the old version is the point
async def test_what_cannot_be_verified_is_not_spoken_to(
    kind: str, authority: Authority, tmp_path: Path
) -> None:
    match kind:
        case "expired":
            server = authority.server(expired=True)
        case "self-signed":
            server = authority.server(self_signed=True)
        case "wrong host":
            server = authority.server(address="127.0.0.2")
        case "TLS 1.1":
            server = old(authority.server())
        case _:
            server = authority.server()
    trusted = authority
    if kind == "unknown authority":
        other = tmp_path / "other"
        other.mkdir()
        trusted = Authority(other)
    tls = client_context(trusted.file)
    async with serving(answering(OK), tls=server, url=HTTPS, trust=tls) as here:
        with pytest.raises(UpstreamUnreachable):
            await here.upstream.fetch("GET", b"/x")
    assert here.requests == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
async def test_tls_1_1_would_be_spoken_by_a_client_that_allows_it(authority: Authority) -> None:
    """Else its refusal above would prove nothing."""
    permissive = old(ssl.create_default_context(cafile=authority.file))
    async with serving(
        answering(OK), tls=old(authority.server()), url=HTTPS, trust=permissive
    ) as here:
        assert (await here.upstream.fetch("GET", b"/x")).status == 200


async def test_the_system_does_not_trust_our_authority(authority: Authority) -> None:
    tls = client_context(None)
    async with serving(answering(OK), tls=authority.server(), url=HTTPS, trust=tls) as here:
        with pytest.raises(UpstreamUnreachable):
            await here.upstream.fetch("GET", b"/x")


async def test_a_server_that_never_shakes_hands_is_given_up(authority: Authority) -> None:
    async def deaf(peer: Peer) -> None:
        await peer.end()

    tls = client_context(authority.file)
    async with serving(deaf, url=HTTPS, connect=0.1, trust=tls) as here:
        with pytest.raises(UpstreamUnreachable):
            await here.upstream.fetch("GET", b"/x")
        assert here.upstream.connections == 0
        await soon(lambda: not here.open)


async def test_plain_text_where_tls_is_expected(authority: Authority) -> None:
    async def plain(peer: Peer) -> None:
        peer.send(OK)
        await peer.end()

    tls = client_context(authority.file)
    async with serving(plain, url=HTTPS, trust=tls) as here:
        with pytest.raises(UpstreamUnreachable):
            await here.upstream.fetch("GET", b"/x")


async def test_a_connection_that_is_cut_without_goodbye_is_no_whole_answer(
    authority: Authority,
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await peer.writer.drain()
        peer.writer.transport.abort()

    tls = client_context(authority.file)
    async with serving(script, tls=authority.server(), url=HTTPS, trust=tls) as here:
        heard = Heard()
        here.upstream.begin("GET", b"/x", (), heard)
        await soon(lambda: heard.over)
        assert heard.error is not None
        assert not heard.ended


def test_the_context_verifies(authority: Authority) -> None:
    context = client_context(authority.file)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_file_that_holds_no_authority_is_found_at_start(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SettingsError, match="UPSTREAM_CA_FILE"):
        client_context(file)


def test_https_wants_a_context_and_http_none(authority: Authority) -> None:
    with pytest.raises(ValueError, match="TLS"):
        Upstream("x", "https://127.0.0.1")
    with pytest.raises(ValueError, match="TLS"):
        Upstream("x", "http://127.0.0.1", tls=client_context(authority.file))
