"""Content negotiation."""

import pytest

from sandbox.supabase.errors import RestError
from sandbox.supabase.media import negotiate

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("accept", "shape"),
    [
        (None, "array"),
        ("", "array"),
        ("*/*", "array"),
        ("application/json", "array"),
        ("text/csv", "csv"),
        ("application/vnd.pgrst.object+json", "object"),
        ("application/vnd.pgrst.object", "object"),
        ("application/vnd.pgrst.object+json;nulls=stripped", "object-stripped"),
        ("application/vnd.pgrst.array+json; nulls=stripped", "array-stripped"),
        ("application/vnd.pgrst.array+json", "array"),
        ("text/html, text/csv;q=0.5, application/json;q=0.9", "array"),
        ("text/html,*/*;q=0.8", "array"),
        ("TEXT/CSV", "csv"),
    ],
)
def test_shapes(accept: str | None, shape: str) -> None:
    assert negotiate(accept).shape == shape


@pytest.mark.parametrize("accept", ["image/png", "text/plain", "application/vnd.pgrst.plan+json"])
def test_nothing_acceptable(accept: str) -> None:
    with pytest.raises(RestError) as refused:
        negotiate(accept)
    assert (refused.value.code, refused.value.status) == ("PGRST107", 406)


def test_raw_answers_of_calls_are_not_built() -> None:
    with pytest.raises(RestError) as refused:
        negotiate("text/plain", of_call=True)
    assert refused.value.code == "PGRST127"
