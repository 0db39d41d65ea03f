"""The control API's endpoints for revocations: who is let in no more although the token is good."""

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control_body import ReasonBody, RevokeBody
from gateway.control_exchange import answer, body_of, flags_of, need_reason, operator_of
from gateway.control_problem import NotForYou
from runtime.flagchange import ChangeRefused
from runtime.revocationstore import MOST, Done, ListFull, RevocationStore


async def listed(request: Request) -> Response:
    entries = await _store(request).in_force()
    return answer({"items": [asdict(entry) for entry in entries]})


async def revoke(request: Request) -> Response:
    operator = operator_of(request)
    operator.need("operator")
    body = await body_of(request, RevokeBody)
    need_reason(flags_of(request), body.reason)
    try:
        done = await _store(request).revoke(
            body.kind, body.value, reason=body.reason, actor=operator.sub
        )
    except ListFull:
        raise ChangeRefused(
            "list_full", f"{MOST} revocations are in force: lift those that are needed no more"
        ) from None
    return _answer(done, status=201 if done.changed else 200)


async def lift(request: Request) -> Response:
    operator = operator_of(request)
    operator.need("operator")
    body = await body_of(request, ReasonBody)
    need_reason(flags_of(request), body.reason)
    done = await _store(request).lift(
        request.path_params["id"], reason=body.reason, actor=operator.sub
    )
    if done is None:
        raise NotForYou
    return _answer(done, status=200)


def _answer(done: Done, *, status: int) -> Response:
    made = {
        "version": done.version,
        "changed": done.changed,
        "published": done.published,
        "revocation": asdict(done.revocation),
    }
    return answer(made, status=status)


def _store(request: Request) -> RevocationStore:
    store: RevocationStore = request.scope["banyan.revocations"]
    return store


ROUTES = (
    Route("/revocations", listed, methods=["GET"]),
    Route("/revocations", revoke, methods=["POST"]),
    Route("/revocations/{id:int}", lift, methods=["DELETE"]),
)
