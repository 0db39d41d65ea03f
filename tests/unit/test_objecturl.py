"""The setting that says where files are kept."""

import pytest

from runtime.objecturl import ObjectUrlInvalid, read_object_url

pytestmark = pytest.mark.unit


def test_a_bucket_with_its_options():
    found = read_object_url(
        "s3://plans/a/b?endpoint=https%3A%2F%2Fobjects.example&access_key_id=k&secret_access_key=s%2Bs"
    )
    assert (found.scheme, found.bucket, found.path) == ("s3", "plans", "/a/b")
    assert found.options["secret_access_key"] == "s+s"
    assert found.encrypted
    assert "s+s" not in repr(found)
    assert not read_object_url("s3://plans?endpoint=http://objects:8333").encrypted


def test_a_folder_and_memory():
    assert read_object_url("file:///a%20b/c").path == "/a b/c"
    assert read_object_url("memory:///").encrypted


@pytest.mark.parametrize(
    "text",
    ["", "plans", "file:///", "file://host/a", "s3:///a", "s3://b?region2=x", "https://x/y"],
)
def test_another_form_is_refused(text: str):
    with pytest.raises(ObjectUrlInvalid):
        read_object_url(text)
