"""`View`: what a gateway knows of stages, as one version. It answers what `Writing` asks of a `runtime.flagsnapshot.Snapshot`."""

from collections.abc import Mapping
from dataclasses import dataclass

from catalog.stage import Stage
from runtime.flagset import EntityState


@dataclass(frozen=True, kw_only=True)
class View:
    """`stages`: by user, before floor and ceiling."""

    version: int
    entity_state: EntityState
    stages: Mapping[str, Stage]

    def state(self, entity: str) -> EntityState:
        return self.entity_state

    def stage(self, user: str) -> Stage:
        state = self.entity_state
        return self.stages[user].clamp(state.floor, state.ceiling)
