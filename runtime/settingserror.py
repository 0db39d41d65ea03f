"""`SettingsError`: why a process, or a command, does not start."""


class SettingsError(Exception):
    """The configuration cannot be used. `problems` holds one sentence per setting, values never shown."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems
