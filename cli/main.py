"""`banyan`: one module per command or group of commands, put together here."""

import sys

import typer

from cli import (
    access,
    alerts,
    audit,
    config,
    conformance,
    explain,
    flags,
    legacy,
    mirror,
    panic,
    revoke,
    sandbox_commands,
    shadow,
    token,
    trace,
    worker,
)
from runtime.logs import configure

app = typer.Typer(
    name="banyan",
    help="Grows new services around an application on Supabase, one entity at a time.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # its frames would show locals
)
app.command("up")(sandbox_commands.up)
app.command("down")(sandbox_commands.down)
app.command("status")(sandbox_commands.status)
app.command("token")(token.token)
app.command("explain")(explain.explain)
app.command("panic")(panic.panic)
app.command("revoke")(revoke.revoke)
app.command("revocations")(revoke.revocations)
app.command("trace")(trace.trace)
app.command("worker")(worker.worker)
app.command("conformance")(conformance.conformance)
app.add_typer(flags.app, name="flags")
app.add_typer(legacy.app, name="legacy")
app.add_typer(mirror.app, name="mirror")
app.add_typer(shadow.app, name="shadow")
app.add_typer(config.app, name="config")
app.add_typer(access.app, name="access")
app.add_typer(alerts.app, name="alerts")
app.add_typer(audit.app, name="audit")


def main() -> None:
    configure("banyan", level="error", stream=sys.stderr)
    app()


if __name__ == "__main__":
    main()
