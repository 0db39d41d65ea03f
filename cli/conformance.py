"""`banyan conformance`: does a server answer as PostgREST documents it?

The runner is a program of the sandbox: it is started as a process, because the command line does not import the sandbox.
"""

import subprocess
import sys
from typing import Annotated

import typer

from runtime.settings import inherited_environment

BaseUrl = Annotated[
    str,
    typer.Option(help="Where the tables are: http://127.0.0.1:3000, or https://.../rest/v1."),
]
Dsn = Annotated[
    str, typer.Option(help="The PostgreSQL behind it, as a role that may create a schema.")
]
ApiKey = Annotated[
    str | None, typer.Option("--apikey", help="Sent as `apikey`, where an API edge wants one.")
]
AllowWrites = Annotated[bool, typer.Option(help="Also run the cases that write, each undone.")]
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]


def conformance(
    base_url: BaseUrl,
    dsn: Dsn,
    apikey: ApiKey = None,
    allow_writes: AllowWrites = False,
    as_json: Json = False,
) -> None:
    """Run the conformance cases. Exit 0: all hold; 1: differences; 2: it could not start.

    Never on a database that matters: it creates and drops the schema banyan_conformance there.
    """
    flags = [*(["--allow-writes"] if allow_writes else []), *(["--json"] if as_json else [])]
    if apikey is not None:
        flags += ["--apikey", apikey]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "sandbox.conformance", "--base-url", base_url, "--dsn", dsn, *flags],
        env=inherited_environment(),
        check=False,
    )
    raise typer.Exit(done.returncode)
