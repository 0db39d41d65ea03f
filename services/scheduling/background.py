"""What scheduling does without being asked."""

from collections.abc import Mapping

from services.background import Task
from services.scheduling.expiry import keep_expiring

TASKS: Mapping[str, Task] = {"request_expiry": keep_expiring}
"""By the name that logs have for it."""
