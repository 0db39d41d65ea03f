"""One promise of every store: whole or not there, streamed, and what is not there is said so."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runtime.objectstore import PART_BYTES, NoSuchObject, ObjectStore, open_store

pytestmark = pytest.mark.contract

MEBIBYTE = 1024 * 1024


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return open_store("memory:///" if request.param == "memory" else f"file://{tmp_path}/a%20b/c")


class Broken(OSError):
    pass


async def chunks(*sizes: int, broken: bool = False) -> AsyncIterator[bytes]:
    for number, size in enumerate(sizes):
        yield bytes([number % 256]) * size
    if broken:
        raise Broken


async def content(store: ObjectStore, name: str) -> bytes:
    return b"".join([chunk async for chunk in (await store.get(name)).chunks])


async def names(store: ObjectStore, prefix: str = "") -> set[str]:
    return {found.name async for found in store.list(prefix)}


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param((), id="empty"),
        pytest.param((3, 4), id="small"),
        pytest.param((MEBIBYTE,) * 12, id="several-parts"),
        pytest.param((PART_BYTES,), id="one-part"),
        pytest.param((PART_BYTES + 1,), id="a-part-and-a-byte"),
    ],
)
async def test_what_was_put_is_got(store: ObjectStore, sizes: tuple[int, ...]) -> None:
    await store.put("p/1/x", chunks(*sizes))
    whole = b"".join([chunk async for chunk in chunks(*sizes)])
    assert (await store.get("p/1/x")).size == len(whole)
    assert await content(store, "p/1/x") == whole


@pytest.mark.parametrize("sizes", [(10,), (MEBIBYTE,) * 12])
async def test_a_put_that_breaks_off_leaves_nothing(
    store: ObjectStore, sizes: tuple[int, ...]
) -> None:
    with pytest.raises(Broken):
        await store.put("p/1/x", chunks(*sizes, broken=True))
    assert await names(store) == set()
    with pytest.raises(NoSuchObject):
        await store.get("p/1/x")


async def test_a_put_that_breaks_off_leaves_the_old_object(store: ObjectStore) -> None:
    await store.put("p/1/x", chunks(5))
    with pytest.raises(Broken):
        await store.put("p/1/x", chunks(7, broken=True))
    assert await content(store, "p/1/x") == bytes(5)


async def test_lists_go_below_a_prefix_and_objects_go(store: ObjectStore) -> None:
    for name in ("a/1/x", "a/2/y", "b/1/z"):
        await store.put(name, chunks(3))
    assert await names(store, "a") == {"a/1/x", "a/2/y"}
    (found,) = [found async for found in store.list("b")]
    assert (found.size, found.changed_at.tzinfo is not None) == (3, True)
    await store.delete("a/1/x")
    await store.delete("a/1/x")
    assert await names(store) == {"a/2/y", "b/1/z"}


@pytest.mark.parametrize("name", ["none", "a/../b", "a//b", ".", "a/./b"])
async def test_what_is_not_there_or_nowhere(store: ObjectStore, name: str) -> None:
    with pytest.raises(NoSuchObject):
        await store.get(name)


def test_a_folder_is_for_its_user_alone(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/objects")
    assert (tmp_path / "objects").stat().st_mode & 0o777 == 0o700
