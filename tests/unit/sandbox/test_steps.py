"""Steps wait for what they need and for nothing else."""

import asyncio

import pytest

from sandbox.steps import Step, StepFailed, check, run
from tests.until import until_async

pytestmark = pytest.mark.unit


class Diary:
    """Steps that note when they begin and end, and end when they are let go."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def step(self, name: str, *after: str, gated: bool = False) -> Step:
        if gated:
            self.gates[name] = asyncio.Event()

        async def go() -> None:
            self.lines.append(f"{name} begins")
            if gated:
                await self.gates[name].wait()
            self.lines.append(f"{name} ends")

        return Step(name=name, run=go, after=after)


async def test_a_step_waits_for_what_it_needs():
    diary = Diary()
    await run([diary.step("c", "a", "b"), diary.step("b", "a"), diary.step("a")])

    assert diary.lines == ["a begins", "a ends", "b begins", "b ends", "c begins", "c ends"]


async def test_steps_without_needs_run_side_by_side():
    diary = Diary()
    steps = [diary.step("slow", gated=True), diary.step("quick"), diary.step("last", "quick")]
    running = asyncio.gather(run(steps))

    async def last_has_ended() -> bool:
        return "last ends" in diary.lines

    await until_async(last_has_ended)

    assert "slow ends" not in diary.lines
    diary.gates["slow"].set()
    await running
    assert diary.lines[-1] == "slow ends"


async def test_the_first_failure_ends_all_and_is_named():
    diary = Diary()

    async def fail() -> None:
        raise OSError

    steps = [
        diary.step("never", gated=True),
        Step(name="broken", run=fail),
        diary.step("later", "broken"),
    ]
    with pytest.raises(StepFailed) as failure:
        await run(steps)

    assert failure.value.name == "broken"
    assert isinstance(failure.value.__cause__, OSError)
    assert diary.lines in ([], ["never begins"])
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_of_two_failures_one_is_told():
    both = asyncio.Barrier(2)

    async def fail() -> None:
        await both.wait()
        raise OSError

    with pytest.raises(StepFailed):
        await run([Step(name="a", run=fail), Step(name="b", run=fail)])


@pytest.mark.parametrize(
    "needs",
    [{"a": ["missing"]}, {"a": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["a"]}],
    ids=["unknown", "itself", "circle"],
)
def test_steps_that_can_never_start_are_refused(needs: dict[str, list[str]]):
    diary = Diary()
    with pytest.raises(ValueError, match="never start"):
        check([diary.step(name, *after) for name, after in needs.items()])


def test_a_name_belongs_to_one_step():
    diary = Diary()
    with pytest.raises(ValueError, match="same name"):
        check([diary.step("a"), diary.step("a")])
