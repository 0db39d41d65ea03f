"""The gateway's access records of one correlation id, from the files of this machine (runtime/accesslog.py)."""

import json
import mmap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from migration.trace.timeline import GATEWAY, Findings, Line, What
from runtime.accessrecord import NONE, problems

_FACTS = (
    *("method", "route", "outcome", "code", "purpose", "role", "stage", "side"),
    *("flag_version", "duration_ms"),
)
"""Who it was (`sub`, `source_ip`) and which row (`resource`) stay in the record."""
_MOST = 200


def read_access(folder: Path, correlation_id: str, since: datetime) -> Findings:
    """Blocks while it reads. Files that were not written to since then are left out."""
    findings = Findings()
    if not folder.is_dir():
        findings.look(GATEWAY, "access records", "no_folder")
        return findings
    files = odd = 0
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        try:
            if datetime.fromtimestamp(path.stat().st_mtime, UTC) < since:
                continue
            files += 1
            for found in _holding(path, b'"%s"' % correlation_id.encode()):
                if problems(found):
                    odd += 1
                    continue
                record = json.loads(found)
                if record["correlation_id"] == correlation_id:
                    findings.add([_line(record)])
        except OSError as error:
            findings.look(GATEWAY, "access records", type(error).__name__)
        if len(findings.lines) >= _MOST:
            break
    extent = f"access records, {files} files since {since:%Y-%m-%dT%H:%M:%SZ}"
    findings.look(GATEWAY, f"{extent}, {odd} lines broken" if odd else extent)
    return findings


def _holding(path: Path, words: bytes) -> Iterator[bytes]:
    """Whole lines with these words; half a line at the end is a record that nobody was answered for."""
    if path.stat().st_size == 0:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(words)
        for _ in range(_MOST):
            end = data.find(b"\n", at) if at >= 0 else -1
            if end < 0:
                return
            yield data[data.rfind(b"\n", 0, at) + 1 : end]
            at = data.find(words, end)


def _line(record: dict[str, Any]) -> Line:
    entity = record["entity"]
    return Line(
        at=datetime.fromisoformat(record["ts"]),
        where=GATEWAY,
        what=What.REQUEST,
        word=str(record["status"]),
        entity="" if entity == NONE else entity,
        facts={name: record[name] for name in _FACTS if record.get(name, NONE) != NONE},
    )
