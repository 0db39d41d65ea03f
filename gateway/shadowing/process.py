"""The comparator's process: `python -m gateway.shadowing.process FD`. Pairs in, findings without values out; no other I/O.

It gives way to everybody else on the machine, and ends when its gateway does.
"""

import json
import os
import resource
import socket
import sys
from functools import cache, partial

import structlog

from gateway.postgrest import stamp_column
from gateway.shadowing.wire import (
    Done,
    Frames,
    Job,
    Question,
    Side,
    decode_job,
    decode_keys,
    frame,
)
from routes import resources
from routes.resource import Resource
from runtime.keyring import read_keyring
from runtime.logs import configure
from runtime.sealed import Sealer
from runtime.shadowstore import KEY_VERSION
from runtime.tagger import Tagger
from shadow.finding import findings
from shadow.pair import Answer, compare
from shadow.shape import By, Shape
from shadow.tally import counted

log = structlog.get_logger("comparator")

_NICE = 10
_READ_BYTES = 1024 * 1024


class Comparing:
    """The pure part, with the keys that evidence needs."""

    def __init__(self, tagger: Tagger, sealer: Sealer) -> None:
        self._tagger = tagger
        self._sealer = sealer

    def done(self, job: Job) -> Done:
        """Never raises: a mistake of ours costs one pair, and is logged by class and place."""
        try:
            return self._done(job)
        except Exception:
            log.exception("comparator.failed", correlation_id=job.question.correlation_id)
            return Done(number=job.number, counted=None)

    def _done(self, job: Job) -> Done:
        owner = _resource(job.question.resource)
        found = compare(_shape(owner, job.question), _answer(job.primary), _answer(job.candidate))
        return Done(
            number=job.number,
            counted=counted(found),
            findings=findings(
                owner.entity,
                found,
                self._tag,
                self._tag,
                partial(self._seal, owner.entity, job.question.correlation_id),
            ),
        )

    def _tag(self, entity: str, field: str, text: str) -> str:
        return str(self._tagger.tag(entity, field, text))

    def _seal(self, entity: str, correlation_id: str, key: tuple[str, ...]) -> bytes:
        plain = json.dumps(key).encode()
        return self._sealer.seal(plain, entity=entity, key=correlation_id, version=KEY_VERSION)


@cache
def _resource(path: str) -> Resource:
    [found] = [one for one in resources() if one.path == path]
    return found


def _shape(owner: Resource, question: Question) -> Shape:
    return Shape(
        columns=owner.columns(staff=question.staff),
        key=owner.asset.key,
        listed=question.listed,
        order=tuple(By(name, falls) for name, falls in question.order),
        limit=question.limit,
        stamp=stamp_column(owner.asset),
    )


def _answer(side: Side) -> Answer:
    headers = {"content-type": side.content_type, "etag": side.etag}
    return Answer(status=side.status, headers=headers, body=side.body)


def run(connection: socket.socket) -> None:
    """Until the other end closes. The first frame has the keys."""
    frames = Frames()
    comparing: Comparing | None = None
    while data := connection.recv(_READ_BYTES):
        for content in frames.feed(data):
            if comparing is None:
                keys = decode_keys(content)
                configure("comparator", level=keys.log_level)
                comparing = Comparing(
                    Tagger(read_keyring(keys.evidence)), Sealer(read_keyring(keys.field))
                )
            else:
                connection.sendall(frame(comparing.done(decode_job(content))))


def main() -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold what passes through
    os.nice(_NICE)
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        try:
            run(connection)
        except (BrokenPipeError, ConnectionResetError):
            return 0  # the gateway has gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
