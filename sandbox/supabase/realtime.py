"""/realtime/v1/websocket: joins and heartbeats, in both forms of the Phoenix protocol. No events by itself.

A test may inject one through `broadcast`. Both `vsn=1.0.0` (objects) and `vsn=2.0.0` (arrays) are spoken.

Stand-in, not PostgREST, never for production.
"""

from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from sandbox.supabase.keys import Keyring

_REFUSED = 1008


@dataclass(kw_only=True)
class Peer:
    """One socket, and the reference under which it joined each topic."""

    socket: WebSocket
    arrays: bool
    topics: dict[str, str | None] = field(default_factory=dict)

    async def send(
        self, *, topic: str, event: str, payload: Any, ref: str | None, join_ref: str | None
    ) -> None:
        if self.arrays:
            message: Any = [join_ref, ref, topic, event, payload]
        else:
            message = {"topic": topic, "event": event, "payload": payload, "ref": ref}
            if join_ref is not None:
                message["join_ref"] = join_ref
        await self.socket.send_text(orjson.dumps(message).decode())

    async def reply(self, topic: str, ref: str | None, response: Any) -> None:
        await self.send(
            topic=topic,
            event="phx_reply",
            payload={"status": "ok", "response": response},
            ref=ref,
            join_ref=self.topics.get(topic),
        )


@dataclass(kw_only=True)
class Realtime:
    """The sockets of one stand-in."""

    keys: Keyring
    _by_id: dict[int, Peer] = field(default_factory=dict)

    async def serve(self, socket: WebSocket) -> None:
        """One connection until it closes. The API key comes in the query."""
        known = (self.keys.publishable, self.keys.secret, self.keys.anon, self.keys.service_role)
        if socket.query_params.get("apikey") not in known:
            await socket.close(_REFUSED)
            return
        await socket.accept()
        peer = Peer(socket=socket, arrays=socket.query_params.get("vsn", "1.0.0") >= "2")
        self._by_id[id(peer)] = peer
        try:
            while True:
                await self._answer(peer, await socket.receive_text())
        except WebSocketDisconnect:
            return
        except (orjson.JSONDecodeError, KeyError, ValueError, TypeError):
            await socket.close(_REFUSED)
        finally:
            del self._by_id[id(peer)]

    async def _answer(self, peer: Peer, text: str) -> None:
        message = orjson.loads(text)
        if peer.arrays:
            join_ref, ref, topic, event, payload = message
        else:
            topic, event, payload = message["topic"], message["event"], message["payload"]
            ref, join_ref = message.get("ref"), message.get("join_ref")
        match event:
            case "phx_join":
                peer.topics[topic] = join_ref
                wanted = payload.get("config", {}).get("postgres_changes", [])
                changes = [{**each, "id": number} for number, each in enumerate(wanted, start=1)]
                await peer.reply(topic, ref, {"postgres_changes": changes})
            case "phx_leave":
                await peer.reply(topic, ref, {})
                peer.topics.pop(topic, None)
            case "heartbeat":
                await peer.reply(topic, ref, {})
            case _:  # access_token, broadcast, presence: taken, not acted on
                return

    async def broadcast(self, topic: str, event: str, payload: Any) -> int:
        """Send an event to everybody who joined the topic; how many that were."""
        reached = [peer for peer in self._by_id.values() if topic in peer.topics]
        for peer in reached:
            await peer.send(
                topic=topic, event=event, payload=payload, ref=None, join_ref=peer.topics[topic]
            )
        return len(reached)
