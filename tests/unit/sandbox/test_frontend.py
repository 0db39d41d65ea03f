"""The server of the example frontend: what it gives out, and how tightly."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from runtime.settings import Settings
from runtime.settingserror import SettingsError
from sandbox.frontend import PAGE, content_security_policy, create_app

pytestmark = pytest.mark.unit

CONFIG = {
    "gateway_url": "http://127.0.0.1:8400",
    "supabase_url": "http://127.0.0.1:8420",
    "publishable_key": "sb_publishable_x",
}


def settings(**other: str | None) -> Settings:
    given = {
        "profile": "sandbox",
        "gateway_url": CONFIG["gateway_url"],
        "legacy_rest_url": CONFIG["supabase_url"],
        "legacy_publishable_key": CONFIG["publishable_key"],
    }
    return Settings.model_validate({**given, **other})


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8440") as client:
        yield client


async def test_the_page_and_its_parts_have_types_that_a_browser_runs(client: httpx.AsyncClient):
    for path, kind in (
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/panels/compliance.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/favicon.svg", "image/svg+xml"),
    ):
        answer = await client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == kind


async def test_config_names_the_peers(client: httpx.AsyncClient):
    assert (await client.get("/config.json")).json() == CONFIG


@pytest.mark.parametrize("missing", ["gateway_url", "legacy_rest_url", "legacy_publishable_key"])
def test_a_missing_setting_is_named(missing: str):
    with pytest.raises(SettingsError, match=missing.upper()):
        create_app(settings(**{missing: None}))


@pytest.mark.parametrize(
    "path",
    [
        "/vendor/",
        "/panels",
        "/nothing.js",
        "/..%2f..%2fpyproject.toml",
        "/%2e%2e/%2e%2e/pyproject.toml",
        "//etc/passwd",
    ],
)
async def test_nothing_else_is_given_out(client: httpx.AsyncClient, path: str):
    answer = await client.send(
        httpx.Request("GET", httpx.URL("http://127.0.0.1:8440", raw_path=path.encode()))
    )
    assert answer.status_code == 404


async def test_another_host_name_gets_nothing(client: httpx.AsyncClient):
    answer = await client.get("/config.json", headers={"host": "rebound.example"})
    assert answer.status_code == 400
    assert CONFIG["publishable_key"] not in answer.text


@pytest.mark.parametrize("path", ["/", "/config.json", "/nothing", "/app.js"])
async def test_every_answer_is_guarded(client: httpx.AsyncClient, path: str):
    headers = (await client.get(path)).headers
    assert headers["content-security-policy"].startswith("default-src 'none'; ")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"


def test_the_policy_allows_the_import_map_the_peers_and_no_more():
    page = (PAGE / "index.html").read_bytes()
    policy = content_security_policy(
        page, ("https://gateway.example/path", "https://x.supabase.co")
    )
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    [inline] = re.findall(rb"<script[^>]*>(.+?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "script-src": f"'self' 'sha256-{digest}'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self' https://gateway.example https://x.supabase.co",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
    }
