"""Fixtures of the flow tests."""

from tests.flow.gateway_world import settings, world

__all__ = ["settings", "world"]
