"""What a service does without being asked: `services/<name>/background.py` holds it as `TASKS`, each for as long as the process runs."""

from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any

from catalog.service import Service
from runtime.settings import Settings
from services.deps import Deps

Task = Callable[[Deps, Settings], Coroutine[Any, Any, None]]


def tasks_of(service: Service) -> Mapping[str, Task]:
    """By name; a service without the module has none."""
    name = f"services.{service}.background"
    try:
        module = import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return {}
    found: Mapping[str, Task] = module.TASKS
    return found
