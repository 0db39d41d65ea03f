"""The settings of a command: those of the sandbox in the run folder, if one is there, else its own."""

from collections.abc import Sequence
from pathlib import Path

from runtime.settings import Settings, load
from runtime.stack import STACK_FILE, Stack


def run_settings(run: Path, names: Sequence[str]) -> Settings:
    """`names` of environment variables are taken from the sandbox, as far as it has them. Raises SettingsError."""
    try:
        environment = Stack.read(run / STACK_FILE.name).environment
    except FileNotFoundError:
        return load()
    return load(**{name.lower(): environment[name] for name in names if name in environment})
