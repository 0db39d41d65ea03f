"""Fixtures of the flow tests."""

from tests.flow.gateway_world import settings, world
from tests.flow.shadow_world import shadowed

__all__ = ["settings", "shadowed", "world"]
