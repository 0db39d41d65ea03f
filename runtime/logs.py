"""Structured logs without patient data.

One JSON object per line. What an event may say is an allow-list of keys: anything else is dropped and its name
counted in `dropped`, because an unknown value is PHI until somebody has decided otherwise (phi-rules section 2).
Exceptions show class, SQLSTATE and place, never their text (libraries print the input there) and never locals.
"""

import logging
import sys
import warnings
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from typing_extensions import override

ALLOWED = frozenset(
    """
    event level ts process logger dropped
    correlation_id entity route method status code side stage outcome reason
    service upstream task state phase version flags source store epoch
    sub role action purpose resource source_ip
    duration_ms attempt attempts count rows bytes port pid seconds lag_ms
    error sqlstate at cause setting file client_id_rejected
    """.split()
)


def configure(process: str, *, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up this process's logs: structlog, the standard library's loggers, warnings, and uncaught exceptions."""
    out = stream or sys.stdout
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _process_name(process),
        render_exception,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(_Foreign(process))
    root = logging.root
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    # httpx logs whole URLs, query included; uvicorn's access log paths.
    for name in ("httpx", "httpcore", "uvicorn.access"):
        logging.root.manager.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    sys.excepthook = _excepthook


_LEVELS: Mapping[str, int] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def redact(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep the allowed keys; name the others in `dropped`."""
    unknown = sorted(key for key in event if key not in ALLOWED)
    for key in unknown:
        del event[key]
    if unknown:
        event["dropped"] = unknown
    return event


def render_exception(
    logger: Any, name: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace `exc_info` by class, SQLSTATE and place of the exception and of its cause."""
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event.update(describe(error))
    return event


def describe(error: BaseException) -> dict[str, Any]:
    """What may be said of an exception: class, SQLSTATE if it has one, file and line where it arose, class of its cause."""
    facts: dict[str, Any] = {"error": _class_name(error)}
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        facts["sqlstate"] = sqlstate
    if error.__traceback__ is not None:
        facts["at"] = _place(error.__traceback__)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        facts["cause"] = _class_name(cause)
    return facts


def _class_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")


def _place(traceback: TracebackType) -> str:
    last = traceback
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    return f"{code.co_filename.rsplit('/site-packages/')[-1]}:{last.tb_lineno} {code.co_name}"


def _process_name(process: str) -> structlog.typing.Processor:
    def add(logger: Any, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    return add


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=lambda value: f"<{type(value).__name__}>").decode()


class _Foreign(logging.Formatter):
    """Lines of libraries: the message's template without its arguments, which may hold anything."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self.process = process

    @override
    def format(self, record: logging.LogRecord) -> str:
        event: dict[str, Any] = {
            "event": record.msg
            if isinstance(record.msg, str) and record.args
            else "library.message",
            "level": record.levelname.lower(),
            "ts": structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts")(None, "", {})[
                "ts"
            ],
            "process": self.process,
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[1] is not None:
            event.update(describe(record.exc_info[1]))
        return _dumps(event)


def _excepthook(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("process").critical("process.died", exc_info=error)
