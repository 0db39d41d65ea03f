"""What a request under /v2 is for a service: a read, a write, or an operation."""

from starlette.requests import Request
from starlette.responses import Response

from services.deps import Deps
from services.operations import operate
from services.reads import find, read
from services.writes import write


async def answer(request: Request, deps: Deps) -> Response:
    """Raises Refused, and what reading, writing and operations raise."""
    found = find(request.scope["raw_path"], deps)
    request.state.route = found.pattern
    if found.operations is not None:
        return await operate(request, found, found.operations, deps)
    if request.method in ("GET", "HEAD"):
        return await read(request, found, deps)
    return await write(request, found, deps)
