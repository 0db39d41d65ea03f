"""The one retry policy: named exceptions only, and not for ever."""

from collections.abc import Iterator

import pytest
import stamina

from runtime.retry import DEFAULT, Policy, retrying

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def without_waiting() -> Iterator[None]:
    stamina.set_testing(True, attempts=DEFAULT.attempts)
    yield
    stamina.set_testing(False)


async def tries(error: Exception, on: type[Exception], failures: int) -> int:
    count = 0
    async for attempt in retrying(on):
        with attempt:
            count += 1
            if count <= failures:
                raise error
    return count


async def test_what_is_named_is_tried_again() -> None:
    assert await tries(OSError(), OSError, failures=2) == 3


async def test_what_is_not_named_is_not() -> None:
    with pytest.raises(KeyError):
        await tries(KeyError(), OSError, failures=1)


async def test_it_ends() -> None:
    with pytest.raises(OSError, match="still"):
        await tries(OSError("still"), OSError, failures=100)


def test_a_policy_is_a_value() -> None:
    assert Policy() == DEFAULT
    assert DEFAULT.longest_wait * DEFAULT.attempts < DEFAULT.timeout
