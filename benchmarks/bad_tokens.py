"""More than 300 tokens that must not be taken, each wrong in one thing and right in all others.

The vectors are those of docs/http-rules.md section 6. `reason` is what `runtime.identity` must refuse it for: a case that is
refused for something else proves nothing.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import forged_tokens
from benchmarks.forged_tokens import Cases
from benchmarks.token_issuer import TokenIssuer, es256, hs, part, token


@dataclass(frozen=True, kw_only=True)
class BadToken:
    """One case."""

    name: str
    token: bytes
    reason: str


def bad_tokens(issuer: TokenIssuer) -> list[BadToken]:
    """Every case that causes no fetch of keys, for an issuer whose old secret is configured."""
    found = []
    for group in (
        forged_tokens.algorithms,
        forged_tokens.confusion,
        forged_tokens.pinned,
        forged_tokens.kids,
        forged_tokens.headers,
        forged_tokens.embedded,
        _forms,
        _encodings,
        _json,
        _repeated,
        _times,
        _claims,
        _subjects,
        forged_tokens.signatures,
        forged_tokens.secrets,
        forged_tokens.mixed,
    ):
        word = group.__name__.strip("_")
        found += [BadToken(name=f"{word}: {n}", token=t, reason=r) for n, t, r in group(issuer)]
    return found


def unknown_kids(issuer: TokenIssuer) -> list[bytes]:
    """Good tokens but for the id of their key, which nobody has heard of: each may ask for one fetch."""
    stranger = es256(ec.generate_private_key(ec.SECP256R1()))
    kids = [*(f"bogus-{number}" for number in range(40)), "EC", "ec.", "ec-1", "-", "=", "e" * 128]
    return [token({"alg": "ES256", "kid": kid}, issuer.claims(), stranger) for kid in kids]


def _forms(issuer: TokenIssuer) -> Cases:
    """What is no compact token of three parts."""
    good = issuer.mint()
    head, body, signature = good.split(b".")
    for name, text in {
        "nothing": b"", "a dot": b".", "two dots": b"..", "one part": head, "two parts": head + b"." + body,
        "two parts and a dot": head + b"." + body + b".", "four parts": good + b"." + signature,
        "five parts": good + b"." + body + b"." + signature, "dot before": b"." + good, "dot behind": good + b".",
        "no header": b"." + body + b"." + signature, "no claims": head + b".." + signature,
        "six parts": good + b"..." + signature,
        "encrypted": b".".join((part({"alg": "dir", "enc": "A256GCM", "kid": "ec"}), b"", *[part(b"x" * 12)] * 3)),
        "JSON": json.dumps({"payload": body.decode(), "protected": head.decode(), "signature": signature.decode()}).encode(),
        "dots encoded": good.replace(b".", b"%2e"), "two tokens": good + b"," + good,
    }.items():  # fmt: skip
        yield name, text, "form"
    for size in (8193 - len(good), 100_000, 1_000_000):
        yield f"padded by {size}", issuer.mint(padding="x" * size), "size"
    yield "a long header", issuer.mint(header={"x": "x" * 9000}), "size"
    yield "a long signature", good + b"A" * 9000, "size"


def _encodings(issuer: TokenIssuer) -> Cases:
    """One text per token: no padding, no blanks, no other alphabet, no bits left over."""
    good = _with_all_to_spare(issuer)
    parts = good.split(b".")
    for number, name in enumerate(("header", "claims", "signature")):
        for what, changed in {
            "padded": parts[number] + b"=" * (-len(parts[number]) % 4),
            "padded too much": parts[number] + b"====",
            "with a newline": parts[number][:8] + b"\n" + parts[number][8:],
            "with a blank": parts[number][:8] + b" " + parts[number][8:],
            "with a NUL": parts[number] + b"\0",
            "with a foreign letter": parts[number] + b"!",
            "not ascii": parts[number] + "é".encode(),
            "with bits left over": _last_bits_set(parts[number]),
            "a letter short of a byte": parts[number][: len(parts[number]) // 4 * 4 + 1],
        }.items():
            yield (
                f"{name} {what}",
                b".".join([*parts[:number], changed, *parts[number + 1 :]]),
                "encoding",
            )
    odd = next(
        t for t in iter(lambda: issuer.mint(x="\u00ff\u00fe?>~"), None) if b"-" in t or b"_" in t
    )
    yield "the other alphabet", odd.replace(b"-", b"+").replace(b"_", b"/"), "encoding"
    yield "blank before", b" " + good, "encoding"
    yield "newline behind", good + b"\n", "encoding"
    yield "UTF-16", good.decode().encode("utf-16-le"), "encoding"


def _with_all_to_spare(issuer: TokenIssuer) -> bytes:
    """A good token of whose parts each has bits to spare at its end."""
    for number in range(64):
        made = issuer.mint(header={"x": "x" * (number % 8)}, x="x" * (number // 8))
        if all(len(one) % 4 for one in made.split(b".")):
            return made
    raise AssertionError("no such token")


def _last_bits_set(text: bytes) -> bytes:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1:]) + 1 :][:1]


def _json(issuer: TokenIssuer) -> Cases:
    """Parts that are not one JSON object in UTF-8, of a depth that anybody needs."""
    sign = issuer.sign("ec")
    header, claims = {"alg": "ES256", "kid": "ec"}, issuer.claims()
    for where, usual in (("header", header), ("claims", claims)):
        text = json.dumps(usual)
        bare = text[:-1]
        for name, raw in {
            "a list": f"[{text}]", "text": json.dumps(text), "a number": "1", "null": "null", "true": "true",
            "blank": " ", "cut": bare, "a comma too many": bare + ",}", "a comment": text + "/* */", "two objects": text + text,
            "single quotes": text.replace('"', "'"), "NaN": bare + ', "x": NaN}', "Infinity": bare + ', "x": Infinity}',
            "minus Infinity": bare + ', "x": -Infinity}', "1e999": bare + ', "x": 1e999}',
            "a control in a text": bare + ', "x": "\x01"}', "arrays in arrays": f'{bare}, "x": {"[" * 32}{"]" * 32}}}',
            "objects in objects": bare + ', "x": ' + '{"a":' * 32 + "1" + "}" * 33,
            "depth bomb": f'{bare}, "x": {"[" * 2500}', "digits without end": f'{bare}, "x": {"9" * 5000}}}',
            "a mark before": "\ufeff" + text,
        }.items():  # fmt: skip
            parts = {"header": header, "claims": claims, where: raw.encode()}
            yield f"{where}: {name}", token(parts["header"], parts["claims"], sign), "json"
        for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"):
            parts = {"header": header, "claims": claims, where: text.encode(encoding)}
            yield f"{where}: {encoding}", token(parts["header"], parts["claims"], sign), "json"
        parts = {"header": header, "claims": claims, where: bare.encode() + b', "x": "\xff\xfe"}'}
        yield f"{where}: not UTF-8", token(parts["header"], parts["claims"], sign), "json"


def _repeated(issuer: TokenIssuer) -> Cases:
    """A member that stands twice means one thing to one reader and another to the next."""
    sign, header = issuer.sign("ec"), {"alg": "ES256", "kid": "ec", "typ": "JWT"}
    for member, value in header.items():
        for second in (value, "x"):
            doubled = _doubled(header, member, second)
            yield f"{member} and then {second}", token(doubled, issuer.claims(), sign), "json"
    claims = issuer.claims()
    for member, value in claims.items():
        for second in (value, "x"):
            doubled = _doubled(claims, member, second)
            same = "the same" if second == value else "another"
            yield f"{member} and then {same}", token(header, doubled, sign), "json"
    inner = json.dumps(claims).replace('{"app_role"', '{"app_role": "admin", "app_role"')
    yield "within app_metadata", token(header, inner.encode(), sign), "json"


def _doubled(members: dict[str, Any], member: str, second: Any) -> bytes:
    return (json.dumps(members)[:-1] + f", {json.dumps(member)}: {json.dumps(second)}}}").encode()


def _times(issuer: TokenIssuer) -> Cases:
    """Whole seconds, of this day, with half a minute for clocks that differ."""
    now, day = int(time.time()), 24 * 3600
    odd: tuple[Any, ...] = (
        None,
        str(now + 60),
        now + 60.5,
        float(now + 60),
        True,
        False,
        [now],
        {},
        "",
    )
    for value in (..., *odd):
        yield f"exp {value!r}", issuer.mint(exp=value), "times"
    for claim in ("iat", "nbf"):
        for value in odd:
            yield f"{claim} {value!r}", issuer.mint(**{claim: value}), "times"
        for ahead in (60, 3600, day * 365, 10**30):
            changed: dict[str, Any] = {claim: now + ahead, "exp": now + 3600}
            yield f"{claim} in {ahead} s", issuer.mint(**changed), "early"
    for ago in (31, 3600, day, day * 365, now):
        made = issuer.mint(exp=now - ago, iat=now - ago - 60)
        yield f"expired {ago} s ago", made, "expired"
    for ago in (day, 7 * day):
        made = issuer.mint(iat=now - ago, exp=now + 3600)
        yield f"issued {ago} s ago and good for another hour", made, "life"
    for exp in (0, -1, -(10**30)):
        yield f"exp {exp}", issuer.mint(exp=exp), "expired"
    for ahead in (day + 60, 7 * day, 3650 * day, now * 999, 10**400):
        yield f"exp in {len(str(ahead))} digits", issuer.mint(exp=now + ahead), "life"
        yield (
            f"exp in {len(str(ahead))} digits, no iat",
            issuer.mint(exp=now + ahead, iat=...),
            "life",
        )


def _claims(issuer: TokenIssuer) -> Cases:
    """Of this issuer, for users, in the role of one."""
    iss = issuer.issuer
    issuers: tuple[Any, ...] = (
        ..., None, "", iss + "/", iss + " ", " " + iss, iss.upper(), iss[:-1], [iss], {"iss": iss}, 1,
        "https://evil.example/auth/v1", iss + "?x", iss + "#", iss + "\0", iss.replace("/auth", "//auth"),
    )  # fmt: skip
    for value in issuers:
        yield f"iss {value!r}", issuer.mint(iss=value), "issuer"
    audiences: tuple[Any, ...] = (
        ..., None, "", "anon", "Authenticated", "authenticated ", "authenticated,anon", [], ["anon"], [["authenticated"]],
        [1, "authenticated"], [None, "authenticated"], {"authenticated": True}, True, 1, "authenticatedx",
    )  # fmt: skip
    for value in audiences:
        yield f"aud {value!r}", issuer.mint(aud=value), "audience"
    roles: tuple[Any, ...] = (
        ..., None, "", "anon", "admin", "postgres", "supabase_admin", "Authenticated", "authenticated ", " authenticated",
        ["authenticated"], ["service_role"], {"role": "authenticated"}, True, "authenticated\0",
    )  # fmt: skip
    for value in roles:
        yield f"role {value!r}", issuer.mint(role=value), "role"
    yield (
        "role only in user_metadata",
        issuer.mint(role=..., user_metadata={"role": "authenticated"}),
        "role",
    )
    yield "service_role", issuer.mint(role="service_role"), "service_key"
    legacy = {
        "iss": "supabase",
        "ref": "ref",
        "role": "service_role",
        "iat": 1,
        "exp": 2_000_000_000,
    }
    made = token({"alg": "HS256", "typ": "JWT"}, legacy, hs(issuer.secret.encode()))
    yield "an old service key", made, "service_key"
    made = token(
        {"alg": "HS256", "typ": "JWT"}, {**legacy, "role": "anon"}, hs(issuer.secret.encode())
    )
    yield "an old anon key", made, "life"
    no_ids: tuple[Any, ...] = (None, 1, True, [], {}, "x\0", "x\ny", "x" * 201, "\ud800")
    for claim in ("session_id", "jti"):
        for value in no_ids:
            yield f"{claim} {value!r}"[:30], issuer.mint(**{claim: value}), "claims"


def _subjects(issuer: TokenIssuer) -> Cases:
    """A user's id is a uuid in the one form that databases compare."""
    sub = issuer.sub
    subjects: tuple[Any, ...] = (
        ..., None, "", "admin", 1, True, [sub], {"sub": sub}, sub.upper()[:-1] + "A", "{" + sub + "}", "urn:uuid:" + sub,
        sub.replace("-", ""), sub[:-1], sub + "0", sub + "\n", " " + sub, sub + "\0", "g" + sub[1:], "\u0661" + sub[1:],
        f"{sub}' or true --", sub.replace("-", "\u2010"),
    )  # fmt: skip
    for value in subjects:
        yield repr(value), issuer.mint(sub=value), "subject"
