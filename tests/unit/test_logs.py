"""What a log line may say, and what it never says."""

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import structlog

from runtime.logs import configure, describe

pytestmark = pytest.mark.unit

NAME = "Zoë Nuñez"


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """Logs of a process as one stream; everything that configure changed is put back."""
    stream, root = io.StringIO(), logging.root
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook)
    kept = (root.handlers[:], root.level)
    with warnings.catch_warnings():
        configure("test", stream=stream)
        yield stream
    logging.captureWarnings(False)
    root.handlers[:] = kept[0]
    root.setLevel(kept[1])
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_of_allowed_keys(out: io.StringIO) -> None:
    structlog.get_logger().info(
        "row.copied", entity="submissions", count=3, first_name=NAME, row={"x": NAME}
    )
    (line,) = lines(out)
    assert line["event"] == "row.copied"
    assert (line["entity"], line["count"], line["process"], line["level"]) == (
        "submissions",
        3,
        "test",
        "info",
    )
    assert line["dropped"] == ["first_name", "row"]
    assert NAME not in out.getvalue()


def test_an_exception_is_class_place_and_cause_without_text_or_locals(out: io.StringIO) -> None:
    patient = NAME
    try:
        try:
            raise KeyError(patient)
        except KeyError as error:
            raise ValueError(f"bad {patient}") from error
    except ValueError:
        structlog.get_logger().exception("it.failed")
    (line,) = lines(out)
    assert line["error"] == "ValueError"
    assert line["cause"] == "KeyError"
    assert line["at"].endswith("without_text_or_locals")
    assert NAME not in out.getvalue()
    assert json.dumps(NAME)[1:-1] not in out.getvalue()


def test_postgres_errors_say_their_sqlstate() -> None:
    error = asyncpg.UniqueViolationError(f"Key (email)=({NAME}) already exists.")
    assert describe(error) == {
        "error": "asyncpg.exceptions.UniqueViolationError",
        "sqlstate": "23505",
    }


def test_lines_of_libraries_lose_their_arguments(out: io.StringIO) -> None:
    record = logging.LogRecord(
        "lib", logging.WARNING, __file__, 1, "user %s logged in", (NAME,), None
    )
    logging.root.handle(record)
    logging.root.handle(
        logging.LogRecord("lib", logging.WARNING, __file__, 1, f"hello {NAME}", (), None)
    )
    first, second = lines(out)
    assert first["event"] == "user %s logged in"
    assert second["event"] == "library.message"
    assert NAME not in out.getvalue()


def test_httpx_urls_and_paths_are_not_logged(out: io.StringIO) -> None:
    for name in ("httpx", "httpcore", "uvicorn.access"):
        logger = logging.root.manager.getLogger(name)
        assert not logger.isEnabledFor(logging.INFO)


def test_uncaught_exceptions_go_through_the_renderer(out: io.StringIO) -> None:
    try:
        raise ValueError(NAME)
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    (line,) = lines(out)
    assert (line["event"], line["error"]) == ("process.died", "ValueError")
    assert NAME not in out.getvalue()


def test_warnings_go_through_it_as_well(out: io.StringIO) -> None:
    warnings.warn(f"about {NAME}", stacklevel=1)
    (line,) = lines(out)
    assert line["logger"] == "py.warnings"
    assert NAME not in out.getvalue()


def test_a_stream_that_was_closed_is_no_error(out: io.StringIO) -> None:
    lines = configure("test", stream=out)
    out.close()
    structlog.get_logger().info("row.copied", count=3)
    logging.root.warning("library")
    assert lines.dropped == 2
