"""The folder behind Storage."""

from pathlib import Path

import pytest

from sandbox.supabase.files import BadKey, Exists, Files, Missing, StoredObject

pytestmark = pytest.mark.unit


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(folder=tmp_path / "storage")
    made.create_bucket("plans")
    return made


def put(files: Files, key: str, content: bytes = b"x", *, replace: bool = False) -> StoredObject:
    return files.write(
        "plans", key, content, mimetype=None, cache_control="no-cache", replace=replace
    )


def test_write_read_replace_remove(files: Files) -> None:
    first = put(files, "a/b.pdf", b"one")
    assert files.read("plans", "a/b.pdf") == (first, b"one")
    assert (first.mimetype, first.size) == ("application/pdf", 3)
    with pytest.raises(Exists):
        put(files, "a/b.pdf")
    second = put(files, "a/b.pdf", b"other", replace=True)
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert second.etag != first.etag
    assert files.remove("plans", "a/b.pdf") == second
    with pytest.raises(Missing):
        files.read("plans", "a/b.pdf")


def test_buckets(files: Files) -> None:
    assert files.buckets() == ["plans"]
    with pytest.raises(Exists):
        files.create_bucket("plans")
    with pytest.raises(Missing):
        files.read("other", "x")


def test_listing_shows_one_level(files: Files) -> None:
    for key in ("a/1.txt", "a/b/2.txt", "c.txt"):
        put(files, key)
    root = [each if isinstance(each, str) else each.name for each in files.list("plans", "")]
    assert root == ["a", "c.txt"]
    inner = [each if isinstance(each, str) else each.name for each in files.list("plans", "a/")]
    assert inner == ["a/1.txt", "b"]
    assert list(files.list("plans", "nowhere")) == []


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "..",
        "a/../../b",
        "a//b",
        ".meta/x",
        "a/.hidden",
        "a\\b",
        "a\nb",
        "a\x00",
        "x" * 901,
        "a/" + "é" * 121,
    ],
)
def test_names_that_are_refused(files: Files, key: str) -> None:
    with pytest.raises(BadKey):
        put(files, key)


def test_an_object_is_no_folder(files: Files) -> None:
    put(files, "a")
    with pytest.raises(BadKey):
        put(files, "a/b")
    assert [path.name for path in files.folder.joinpath("plans").iterdir()] == ["a"]
