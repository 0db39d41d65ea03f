"""Background tasks are kept, and their death is seen."""

import asyncio
import gc

import pytest
import structlog

from runtime import tasks
from runtime.tasks import finished, spawn, stop

pytestmark = pytest.mark.unit


async def test_a_task_that_nobody_holds_runs_to_its_end() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        gc.collect()
        done.set()

    spawn(work(), name="kept")
    gc.collect()
    async with asyncio.timeout(5):
        await done.wait()


async def test_a_death_is_logged_by_class_and_told() -> None:
    told: list[BaseException] = []

    async def work() -> None:
        raise LookupError("patient 7")

    with structlog.testing.capture_logs() as logs:
        task = spawn(work(), name="mortal", on_death=told.append)
        await asyncio.wait([task])
        await asyncio.sleep(0)
    assert [type(error) for error in told] == [LookupError]
    assert logs[0]["event"] == "task.died"
    assert logs[0]["task"] == "mortal"


async def test_stopping_is_no_death() -> None:
    told: list[BaseException] = []

    async def work() -> None:
        await asyncio.Event().wait()

    task = spawn(work(), name="stopped", on_death=told.append)
    await asyncio.sleep(0)
    await stop(task)
    assert task.cancelled()
    assert told == []


async def test_a_cancellation_that_was_swallowed_is_repeated(monkeypatch) -> None:
    monkeypatch.setattr(tasks, "_ASK_AGAIN_SECONDS", 0.01)
    cancelled = 0

    async def work() -> None:
        nonlocal cancelled
        while cancelled < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled += 1

    task = spawn(work(), name="stubborn")
    await asyncio.sleep(0)
    await stop(task)
    assert task.done()
    assert cancelled == 3


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_to_be_finished_is_however_often_the_caller_is_cancelled(fails: bool) -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def statement() -> None:
        await go.wait()
        done.set()
        if fails:
            raise LookupError

    caller = spawn(finished(statement()), name="caller")
    for _ in range(3):
        await asyncio.sleep(0)
        caller.cancel()
    await asyncio.sleep(0)
    assert not caller.done()
    go.set()
    await asyncio.wait([caller])
    assert caller.cancelled()
    assert done.is_set()


async def test_what_is_finished_answers_its_caller() -> None:
    async def statement(fails: bool) -> int:
        if fails:
            raise LookupError
        return 7

    assert await finished(statement(False)) == 7
    with pytest.raises(LookupError):
        await finished(statement(True))
