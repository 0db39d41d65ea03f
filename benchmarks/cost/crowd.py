"""Who asks: 1 000 users with tokens of one size, one more for the check of the flag, and tokens that nobody may accept."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import jwt

from catalog.stage import Side, Stage
from runtime.flagrule import By, Canonical, Override, Shares
from runtime.flagset import EntityState, Flag, FlagSet, Scope, first_flag_set
from runtime.flagsnapshot import FlagUser, Snapshot

ENTITY = "lab_orders"
USERS = 1_000
TOKEN_BYTES = 780
ISSUER = "http://127.0.0.1:9/auth/v1"
SECRET = "bench-secret-" + "k" * 35
AUDIENCE = "authenticated"
_LIFE_SECONDS = 3600


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody with a valid token."""

    sub: str
    token: str


class Crowd:
    """The users and what their flags say. Made at one moment: tokens are valid for an hour."""

    def __init__(self) -> None:
        self._issued_at = int(time.time())
        self.users = [self._user(number) for number in range(USERS)]
        self.left_behind = self._user(USERS)
        """The one user whose flag says `legacy`."""

    @property
    def flags(self) -> FlagSet:
        """Half of the users at `live`, half at `complete`: the service answers all of them, but each has to be looked up."""
        shares = Shares().ramped(Stage.LIVE, 1000).ramped(Stage.COMPLETE, 500)
        override = Override(by=By.USER, value=self.left_behind.sub, stage=Stage.LEGACY)
        return _with_flag(Canonical(overrides=(override,), shares=shares))

    @cached_property
    def stages(self) -> Mapping[str, Stage]:
        """The same as a table, for gateways that look a user up in one."""
        snapshot = Snapshot(self.flags)
        everybody = [*self.users, self.left_behind]
        return {user.sub: snapshot.stage(ENTITY, FlagUser(sub=user.sub)) for user in everybody}

    def sides(self) -> Mapping[str, Side]:
        return {sub: stage.meaning.reads for sub, stage in self.stages.items()}

    def refused(self) -> Mapping[str, str]:
        """Tokens that must be refused, by what is wrong with them."""
        good = self.users[0].token
        claims = _claims(self.users[0].sub, self._issued_at)
        head, payload, signature = good.split(".")
        other = self.users[1].token.split(".")
        return {
            "another user's payload under this signature": f"{head}.{other[1]}.{signature}",
            "no signature": f"{head}.{payload}.",
            "another key": jwt.encode(claims, SECRET[::-1], algorithm="HS256"),
            "another algorithm": jwt.encode(claims, SECRET * 2, algorithm="HS512"),
            "algorithm none": jwt.encode(claims, "", algorithm="none"),
            "expired": jwt.encode(claims | {"exp": self._issued_at - 3600}, SECRET),
            "another audience": jwt.encode(claims | {"aud": "somebody"}, SECRET),
        }

    def _user(self, number: int) -> User:
        sub = str(uuid.UUID(int=0x0190_B1A2_0000_7000_8000_0000_0000_0000 + number))
        claims = _claims(sub, self._issued_at)
        padding = ""
        while len(token := jwt.encode(claims | {"nonce": padding}, SECRET)) < TOKEN_BYTES:
            padding += "x"
        return User(sub=sub, token=token)


def everybody_in_legacy() -> FlagSet:
    """For the row that is answered from legacy."""
    return _with_flag(Canonical())


def everybody_compared(left_behind: str) -> FlagSet:
    """At `shadow`, but for this user."""
    override = Override(by=By.USER, value=left_behind, stage=Stage.LEGACY)
    return _with_flag(Canonical(overrides=(override,), shares=Shares().ramped(Stage.SHADOW, 1000)))


def _with_flag(rule: Canonical) -> FlagSet:
    scope = Scope(entity=ENTITY)
    first = first_flag_set(Stage.COMPLETE)
    state = EntityState(ceiling=Stage.COMPLETE, backfilled=True)
    return FlagSet(
        flags={**first.flags, scope: Flag(rule=rule)}, states={**first.states, scope: state}
    )


def _claims(sub: str, issued_at: int) -> dict[str, object]:
    """As Supabase issues them to a signed-in user; synthetic."""
    return {
        "iss": ISSUER,
        "sub": sub,
        "aud": AUDIENCE,
        "exp": issued_at + _LIFE_SECONDS,
        "iat": issued_at,
        "email": f"{sub[-4:]}@mail.example",
        "phone": "",
        "app_metadata": {"provider": "email", "providers": ["email"], "app_role": "patient"},
        "user_metadata": {},
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{"method": "password", "timestamp": issued_at}],
        "session_id": sub,
        "is_anonymous": False,
    }
