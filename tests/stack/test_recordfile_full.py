"""A disk that takes only part of a write, as the kernel does it: a file size limit cuts the write short, a seal keeps the
file from being cut back. In a process of its own, because the limit is one of the process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.stack

PROGRAM = """
import fcntl, json, os, resource, sys
from pathlib import Path
from runtime.recordfile import RecordFile

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def tried(file, lines):
    try:
        file.append(lines)
    except OSError as error:
        return type(error).__name__
    return "written"

folder, kind = Path(sys.argv[1]), sys.argv[2]
if kind == "sealed":
    fd = os.memfd_create("records", os.MFD_ALLOW_SEALING)
    path = Path(f"/proc/{os.getpid()}/fd/{fd}")
    file = RecordFile(folder / "unused.jsonl")
    os.dup2(fd, file._fd)
    os.set_blocking(fd, True)
    fcntl.fcntl(file._fd, fcntl.F_SETFL, os.O_APPEND)
else:
    path = folder / "a.jsonl"
    file = RecordFile(path)
said = [tried(file, b"one\\n")]
if kind == "sealed":
    fcntl.fcntl(fd, 1033, 2)  # F_ADD_SEALS, F_SEAL_SHRINK
limit(11)
said.append(tried(file, b"two\\nthree\\nfour\\n"))
limit(file.size)
said.append(tried(file, b"five\\n"))
limit(resource.RLIM_INFINITY)
said.append(tried(file, b"six\\n"))
said.append(tried(file, b"seven\\n"))
print(json.dumps({"said": said, "content": path.read_text(), "size": file.size}))
"""


def play(folder: Path, kind: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), kind], capture_output=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr.decode()
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def test_what_a_full_disk_took_of_some_lines_is_cut_off_again(tmp_path: Path) -> None:
    assert play(tmp_path, "plain") == {
        "said": ["written", "OSError", "OSError", "written", "written"],
        "content": "one\nsix\nseven\n",
        "size": 14,
    }


def test_where_it_cannot_be_cut_off_the_next_line_stands_alone(tmp_path: Path) -> None:
    assert play(tmp_path, "sealed") == {
        "said": ["written", "OSError", "OSError", "written", "written"],
        "content": "one\ntwo\nthr\nsix\nseven\n",
        "size": 22,
    }
