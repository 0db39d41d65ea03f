"""A comparator without a process: the same comparison, one turn of the event loop later."""

import asyncio

from gateway.shadowing.comparator import Then, side
from gateway.shadowing.process import Comparing
from gateway.shadowing.told import Told
from gateway.shadowing.wire import Job, Question
from runtime.sealed import Sealer
from runtime.tagger import Tagger
from tests.fakes.keys import keyring


class DirectComparator:
    """`room` False: it takes nothing. `dies`: what it takes is lost."""

    def __init__(self) -> None:
        self.room = True
        self.dies = False
        self.pairs = 0
        self._comparing = Comparing(Tagger(keyring("e1")), Sealer(keyring("f1")))

    def submit(self, question: Question, primary: Told, candidate: Told, then: Then) -> bool:
        if not self.room:
            return False
        self.pairs += 1
        job = Job(
            number=self.pairs, question=question, primary=side(primary), candidate=side(candidate)
        )
        asyncio.get_running_loop().call_soon(self._compare, job, then)
        return True

    def _compare(self, job: Job, then: Then) -> None:
        done = None if self.dies else self._comparing.done(job)
        then(None if done is None or done.counted is None else done)
