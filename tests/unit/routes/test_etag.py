"""Entity tags name a version; If-None-Match is read as RFC 9110 has it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routes.etag import etag, matches

pytestmark = pytest.mark.unit

TAG = '"1743296400000000.legacy"'


@pytest.mark.parametrize(
    "stamp",
    [
        "2025-03-30T01:00:00+00:00",
        "2025-03-30T03:00:00+02:00",
        "2025-03-30 01:00:00+00",
        "2025-03-30T01:00:00.000000+00:00",
        "2025-03-30T01:00:00Z",
    ],
)
def test_one_instant_has_one_tag(stamp):
    assert etag(stamp, "legacy") == TAG


def test_a_microsecond_or_another_origin_is_another_version():
    stamps = ["2025-03-30T01:00:00.000001+00:00", "2025-03-30T01:00:00.00001+00:00"]
    tags = {etag(stamp, origin) for stamp in stamps for origin in ("legacy", "service")}
    assert tags == {
        f'"{micros}.{origin}"'
        for micros in (1743296400000001, 1743296400000010)
        for origin in ("legacy", "service")
    }


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are bare
    st.integers(-14, 14),
)
@settings(deadline=None)
def test_the_tag_counts_microseconds(moment, hours):
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    local = moment.astimezone(timezone(timedelta(hours=hours)))
    assert etag(local.isoformat(), "service") == f'"{micros}.service"'


@pytest.mark.parametrize(
    ("stamp", "tag"),
    [
        ("infinity", '"infinity.service"'),
        ("-infinity", '"-infinity.service"'),
        ("10000-01-01T00:00:00+00:00", '"10000-01-01T00%3A00%3A00%2B00%3A00.service"'),
        ("0044-03-15T00:00:00+00:00 BC", '"0044-03-15T00%3A00%3A00%2B00%3A00%20BC.service"'),
    ],
)
def test_stamps_that_only_postgresql_has(stamp, tag):
    assert etag(stamp, "service") == tag
    assert matches(tag, tag)


@pytest.mark.parametrize(
    "header",
    [
        TAG,
        f"W/{TAG}",
        f' "x" ,{TAG}',
        f'W/"x", W/{TAG} ',
        "*",
        " * ",
    ],
)
def test_if_none_match_names_it(header):
    assert matches(header, TAG)


@pytest.mark.parametrize(
    "header", ["", '""', TAG.strip('"'), TAG[:-1], f"w/{TAG}", '"x", *', f"{TAG}x"]
)
def test_if_none_match_does_not_name_it(header):
    assert not matches(header, TAG)
