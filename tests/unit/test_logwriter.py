"""Lines go out whole and in order; who logs never waits for who reads."""

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from runtime.logwriter import LogWriter

pytestmark = pytest.mark.unit


def lost(count: int) -> bytes:
    return b"lost %d" % count


class Pipe:
    """A pipe in packet mode: one read is one write."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)

    def read(self) -> bytes:
        return os.read(self.reader, 1 << 20)

    def read_until(self, end: Callable[[bytes], bool]) -> bytes:
        read = b""
        while not end(read):
            read += self.read()
        return read

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    if pipe.reader >= 0:
        pipe.close_reader()


@pytest.fixture
def writer(pipe: Pipe) -> Iterator[LogWriter]:
    writer = LogWriter(pipe.writer, lost, every=3600)
    yield writer
    if pipe.reader >= 0:
        pipe.close_reader()  # so that no write blocks the end
    writer.close()


def test_a_line_after_a_pause_goes_out_at_once(writer: LogWriter, pipe: Pipe) -> None:
    writer.write(b"one")
    assert pipe.read() == b"one\n"


def test_a_burst_is_one_write(writer: LogWriter, pipe: Pipe) -> None:
    writer.write(b"first")
    assert pipe.read() == b"first\n"
    for number in range(100):
        writer.write(b"%d" % number)
    assert writer.flush(within=20)
    assert pipe.read() == b"".join(b"%d\n" % number for number in range(100))


def test_without_a_flush_it_is_written_after_a_while(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, lost, every=0.01)
    for line in (b"one", b"two", b"three"):
        writer.write(line)
    read = pipe.read_until(lambda read: read.endswith(b"three\n"))
    assert read == b"one\ntwo\nthree\n"
    writer.close()


def test_a_reader_that_does_not_read_costs_lines_and_they_are_counted(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, lost, every=0, most_bytes=200_000)
    lines = [b"%06d" % number + b"x" * 993 for number in range(1000)]
    for line in lines:
        writer.write(line)
    assert not writer.flush(within=0)
    dropped = writer.dropped
    assert dropped > 500

    # The rest of the batch that is on its way comes before the news, whenever there is room for it.
    read = pipe.read_until(lambda read: read.count(b"x\n") == 1000 - dropped)
    assert writer.flush(within=20)
    writer.write(b"after")
    read += pipe.read_until(lambda read: read.endswith(b"after\n"))
    found = read.splitlines()
    told = [int(line.removeprefix(b"lost ")) for line in found if line.startswith(b"lost ")]
    through = [line for line in found[:-1] if not line.startswith(b"lost ")]
    assert sum(told) == dropped == writer.dropped
    assert len(through) == 1000 - dropped
    assert through == sorted(set(through) & set(lines))
    writer.close()


def test_a_reader_that_has_gone_is_no_error(writer: LogWriter, pipe: Pipe) -> None:
    pipe.close_reader()
    for number in range(10):
        writer.write(b"%d" % number)
        assert writer.flush(within=20)
    assert writer.dropped == 10


def test_without_a_descriptor_lines_are_counted() -> None:
    writer = LogWriter(None, lost)
    writer.write(b"one")
    writer.write(b"two")
    assert writer.flush(within=20)
    assert writer.dropped == 2
    writer.close()


def test_a_full_disk_costs_lines_until_it_has_room() -> None:
    writer = LogWriter(os.open("/dev/full", os.O_WRONLY), lost, every=0)
    for number in range(5):
        writer.write(b"%d" % number)
        assert writer.flush(within=20)
    assert writer.dropped == 5
    writer.close()


def test_a_non_blocking_descriptor_is_waited_for(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, lost, every=0)
    os.set_blocking(pipe.writer, False)
    lines = [b"%06d" % number + b"x" * 993 for number in range(150)]
    for line in lines:
        writer.write(line)
    assert not writer.flush(within=0)
    read = pipe.read_until(lambda read: read.count(b"\n") == len(lines))
    assert read.splitlines() == lines
    assert writer.dropped == 0
    writer.close()


def test_threads_do_not_mix_their_lines(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, lost, every=0)

    def work(name: bytes) -> None:
        for _ in range(100):
            writer.write(name * 20)

    names = [b"a", b"b", b"c", b"d"]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = pipe.read_until(lambda read: read.count(b"\n") == 400)
    assert sorted(read.splitlines()) == sorted(name * 20 for name in names for _ in range(100))
    writer.close()


def test_closed_it_has_written_everything_and_takes_no_more(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer, lost, every=3600)
    writer.write(b"one")
    assert pipe.read() == b"one\n"
    writer.write(b"two")
    writer.close()
    assert pipe.read() == b"two\n"
    writer.write(b"three")
    assert writer.dropped == 1
    assert pipe.read() == b""
