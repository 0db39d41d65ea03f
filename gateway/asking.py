"""What a read asks for, checked, and its answer by a plan: the same for the caller's own read and for what is asked behind it."""

from gateway.caller import Caller, caller_of
from gateway.edge.request import Request
from gateway.facts import Facts
from gateway.plan import Read, SplitRead
from gateway.read import Answer, Reader
from gateway.user import User
from routes.asked import Asked, AskedList, read_asked
from routes.match import Match


def asked_by(
    request: Request, user: User, found: Match, facts: Facts, cursor_key: bytes
) -> tuple[Asked, Caller]:
    """What is asked, checked, and who asks. Raises Refused."""
    asked = read_asked(
        found,
        request.query,
        request.all(b"prefer"),
        staff=user.identity.staff,
        cursor_key=cursor_key,
    )
    return asked, caller_of(request, user, facts)


async def answer_of(
    reader: Reader, plan: Read | SplitRead, asked: Asked, request: Request, caller: Caller
) -> Answer:
    """Raises Refused, UpstreamError, Disagreement."""
    if isinstance(asked, AskedList):
        return await reader.page(plan, asked.query, request.query, caller, count=asked.counted)
    return await reader.item(
        plan, asked.resource, asked.key, request.path, caller, if_none_match(request)
    )


def if_none_match(request: Request) -> bytes | None:
    tags = request.all(b"if-none-match")
    return b", ".join(tags) if tags else None
