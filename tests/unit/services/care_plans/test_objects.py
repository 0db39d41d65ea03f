"""Names of files: in the store, and for whoever downloads them."""

import pytest

from runtime.objectstore import open_store
from services.care_plans.objects import disposition, media_type, stored_name

pytestmark = pytest.mark.unit

AWKWARD = ["a/b", "../../etc/passwd", "a//b", "ł & ?#%2F", "./a", "", "%", "a\nb", "..."]


@pytest.mark.parametrize("scheme", ["memory", "file"])
async def test_every_name_of_legacy_s_has_a_place_of_its_own(scheme: str, tmp_path):
    store = open_store("memory:///" if scheme == "memory" else f"file://{tmp_path}/objects")

    async def chunks(text: str):
        yield text.encode() or b"-"

    for key in AWKWARD:
        await store.put(stored_name("archive 2023", key), chunks(key))
    for key in AWKWARD:
        reading = await store.get(stored_name("archive 2023", key))
        assert b"".join([chunk async for chunk in reading.chunks]) == (key.encode() or b"-")
    names = {found.name async for found in store.list("")}
    assert names == {stored_name("archive 2023", key) for key in AWKWARD}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("application/pdf", "application/pdf"),
        ("Text/HTML; charset=utf-8", "text/html"),
        ("application/vnd.a+json", "application/vnd.a+json"),
        ("", None),
        ("pdf", None),
        ("a/b/c", None),
        ("a/b\r\nx: y", None),
        ("ł/b", None),
    ],
)
def test_media_types(header: str, found: str | None):
    assert media_type(header) == found


def test_a_download_s_name_says_nothing_of_the_patient():
    assert disposition("0190b1a2-0000-7000-8000-0000000000aa", 3, "application/pdf") == (
        'attachment; filename="action-plan-0190b1a2-3.pdf"'
    )
    assert disposition("0190b1a2-0000", 1, 'x/";y').endswith('-1.bin"')
