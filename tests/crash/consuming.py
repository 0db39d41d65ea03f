"""`python consuming.py URL FILE [commit-first]`: consumes the log at URL, appends one line per entry to FILE, for ever.
With commit-first it commits before it writes: what the test has to find.
"""

import asyncio
import os
import sys

from runtime.eventlog.errors import Fenced
from runtime.eventlog.protocol import Entry
from runtime.eventlog.redis_log import RedisLog

TOPIC = "killed"
GROUP = "consuming"
LEASE_SECONDS = 1.0
AT_ONCE = 20


async def main(url: str, file: str, *, commit_first: bool) -> None:
    effects = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    log = RedisLog(url, lease_seconds=LEASE_SECONDS)
    async with log.consumer(GROUP, [TOPIC], member=str(os.getpid())) as consumer:
        while True:
            entries = await consumer.poll(AT_ONCE, wait_seconds=0.2)
            if not commit_first:
                write(effects, entries)
            try:
                await consumer.commit(entries)
            except Fenced:
                continue
            if commit_first:
                write(effects, entries)


def write(effects: int, entries: list[Entry]) -> None:
    """One by one, so that a kill falls between them."""
    for entry in entries:
        os.write(effects, b"%s %s\n" % (entry.key, entry.value))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], commit_first="commit-first" in sys.argv))
