"""Structured logs without patient data.

One JSON object per line. What an event may say is an allow-list of keys: anything else is dropped and its name
counted in `dropped`, because an unknown value is PHI until somebody has decided otherwise (phi-rules section 2).
Exceptions show class, SQLSTATE and place, never their text (libraries print the input there) and never locals.

Standard output is written by a thread (runtime.logwriter), so a process ends with `flush`: configured here for its
ordinary end, for an uncaught exception, and for SIGTERM where nobody else handles it.
"""

import atexit
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from types import FrameType, TracebackType
from typing import Any, Protocol, TextIO

import orjson
import structlog
from typing_extensions import override

from runtime.logwriter import FLUSH_SECONDS, LogWriter

ALLOWED = frozenset(
    """
    event level ts process logger dropped
    correlation_id entity route method status code side stage outcome reason
    service upstream task state phase version flags source store epoch
    sub role action purpose resource source_ip
    topic group
    fields kinds candidate release
    duration_ms attempt attempts count rows bytes port pid seconds lag_ms
    error sqlstate at cause setting file form client_id_rejected
    """.split()
)


class Lines(Protocol):
    """Where lines go."""

    dropped: int
    """Those that got nowhere, since the start."""

    def write(self, line: bytes) -> None: ...

    def flush(self, within: float = FLUSH_SECONDS) -> bool: ...

    def close(self) -> None: ...


def configure(process: str, *, level: str = "info", stream: TextIO | None = None) -> Lines:
    """Set up this process's logs: structlog, the standard library's loggers, warnings, and uncaught exceptions.

    A `stream` is written directly, standard output (the default) by a thread.
    """
    lines = _StreamLines(stream) if stream is not None else _standard_output(process)
    _use(lines)
    if stream is None:
        _flush_when_terminated()
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
        logger_factory=lambda *_: _LineLogger(lines),
        cache_logger_on_first_use=False,
    )
    root = logging.root
    root.handlers[:] = [_ForeignHandler(lines, process)]
    root.setLevel(_LEVELS[level])
    # httpx logs whole URLs, query included; uvicorn's access log paths.
    for name in ("httpx", "httpcore", "uvicorn.access"):
        logging.root.manager.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    sys.excepthook = _excepthook
    sys.unraisablehook = _unraisablehook
    threading.excepthook = _thread_excepthook
    return lines


def dropped() -> int:
    """Lines of this process that never got out."""
    return _current.dropped


def flush(within: float = FLUSH_SECONDS) -> bool:
    """Wait until every line is out, `within` seconds at most. To be called before a process ends in an unusual way."""
    return _current.flush(within)


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


def _dumps(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=lambda value: f"<{type(value).__name__}>")


def _now() -> str:
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts")
    return str(stamp(None, "", {})["ts"])


class _ForeignHandler(logging.Handler):
    """Lines of libraries: the message's template without its arguments, which may hold anything."""

    def __init__(self, lines: Lines, process: str) -> None:
        super().__init__()
        self.lines = lines
        self.process = process

    @override
    def emit(self, record: logging.LogRecord) -> None:
        event: dict[str, Any] = {
            "event": record.msg
            if isinstance(record.msg, str) and record.args
            else "library.message",
            "level": record.levelname.lower(),
            "ts": _now(),
            "process": self.process,
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[1] is not None:
            event.update(describe(record.exc_info[1]))
        self.lines.write(_dumps(event))


# --- what nobody caught


def _excepthook(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    structlog.get_logger("process").critical("process.died", exc_info=error)
    flush()


def _thread_excepthook(given: threading.ExceptHookArgs) -> None:
    if not issubclass(given.exc_type, SystemExit):
        structlog.get_logger("process").error("thread.died", exc_info=given.exc_value)


def _unraisablehook(given: "sys.UnraisableHookArgs") -> None:
    structlog.get_logger("process").error("process.unraisable", exc_info=given.exc_value)


# --- how it ends


def _use(lines: Lines) -> None:
    """For `flush`, also at the process's ordinary end; what was used before is closed."""
    global _current
    _current.close()
    _current = lines
    atexit.unregister(flush)
    atexit.register(flush)


def _flush_when_terminated() -> None:
    """uvicorn ends by giving itself the SIGTERM that it got once more, and then no `atexit` runs."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _terminated(number: int, frame: FrameType | None) -> None:
    flush()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)


# --- where lines go


def _standard_output(process: str) -> Lines:
    """A copy of the descriptor: should 1 be closed and opened again as something else, no line goes there."""
    stdout: TextIO | None = sys.stdout  # None where it was closed before we started
    try:
        fd = None if stdout is None else os.dup(stdout.fileno())
    except io.UnsupportedOperation:  # replaced by something without a descriptor
        return _StreamLines(stdout)
    except (OSError, ValueError):  # closed meanwhile
        fd = None

    def lost(count: int) -> bytes:
        return _dumps(
            {
                "event": "log.dropped",
                "level": "warning",
                "ts": _now(),
                "process": process,
                "count": count,
            }
        )

    return LogWriter(fd, lost)


class _StreamLines:
    """Writes at once. A stream that is closed, or whose reader has gone, is no reason to fail."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.dropped = 0

    def write(self, line: bytes) -> None:
        try:
            if self._stream is not None:
                self._stream.write(line.decode() + "\n")
                self._stream.flush()
                return
        except (OSError, ValueError):  # ValueError: I/O operation on closed file
            pass
        self.dropped += 1

    def flush(self, within: float = FLUSH_SECONDS) -> bool:
        return True

    def close(self) -> None:
        pass


class _LineLogger:
    """What structlog ends in: the line is rendered already, whatever its level."""

    def __init__(self, lines: Lines) -> None:
        self._write = lines.write

    def __getattr__(self, level: str) -> Callable[[bytes], None]:
        return self._write


_current: Lines = _StreamLines(None)
