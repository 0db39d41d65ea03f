"""Which addresses of a configuration would be talked to in the clear. Pure; what they hold is looked at, never shown."""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, urlsplit

from runtime.objecturl import read_object_url


def plaintext(urls: Mapping[str, str]) -> Iterator[str]:
    """By the setting's name: a name and its cure for each that is not encrypted."""
    for name, url in urls.items():
        cure = _cure(name, url)
        if cure:
            yield f"{name} (use {cure})"


def _cure(name: str, url: str) -> str:
    if name == "redis_url":
        return "" if url.startswith("rediss://") else "rediss://"
    if name.endswith("database_url"):
        query = parse_qs(urlsplit(url).query)
        return "" if query.get("sslmode") == ["verify-full"] else "sslmode=verify-full"
    if name == "object_store_url":
        return "" if read_object_url(url).encrypted else "an endpoint with https://"
    return "" if url.startswith("https://") else "https://"
