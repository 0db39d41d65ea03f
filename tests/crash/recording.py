"""`python recording.py FOLDER [answer-first]`: records numbers and answers each with its number on standard output, for ever.
With answer-first it answers long before the turn ends that writes the records: what the test has to find.

Files are small and synced often, so that a kill also hits their rotation and their sync.
"""

import asyncio
import os
import sys
from pathlib import Path

from runtime.accesslog import AccessLog

PER_TURN = 32
ENDLESS = 10_000_000
ANSWERS = sys.stdout.fileno()


class Caller:
    """Gets its number as answer, and nothing if there is no record."""

    def __init__(self, number: int) -> None:
        self.number = number

    def recorded(self, ok: bool) -> None:
        if ok:
            self.answer()

    def answer(self) -> None:
        os.write(ANSWERS, b"%d\n" % self.number)


async def main(folder: Path, *, answer_first: bool) -> None:
    log = AccessLog(folder, "recording", most_bytes=64 * 1024, sync_every=0.005)
    number = 0
    while True:
        for _ in range(ENDLESS if answer_first else PER_TURN):
            caller = Caller(number)
            if answer_first:
                caller.answer()
            log.append(b'{"n":%d}' % number, None if answer_first else caller)
            number += 1
        await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), answer_first="answer-first" in sys.argv))
