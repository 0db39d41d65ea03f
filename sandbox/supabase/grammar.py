"""PostgREST's little languages - select, order, filters, logic - from text to `terms`. Pure.

A recursive descent over one string. Where PostgREST's grammar is lenient (text behind a complete `is` or `in`
of a plain filter), so is this one. Everything it cannot read is PGRST100.

Stand-in, not PostgREST, never for production.
"""

import re
from collections.abc import Callable
from typing import Literal, TypeVar

from sandbox.supabase.errors import RestError, Unsupported
from sandbox.supabase.terms import (
    Arrow,
    Column,
    Condition,
    Embed,
    Field,
    Filter,
    Logic,
    Order,
    Path,
    Quantifier,
    SelectItem,
)

T = TypeVar("T")

QUANTIFIABLE = ("eq", "gte", "gt", "lte", "lt", "like", "ilike", "match", "imatch")
SINGLE = ("neq", "cs", "cd", "ov")
IS_VALUES = ("null", "not_null", "true", "false", "unknown")
_NOT_BUILT = re.compile(r"(?:(?:fts|plfts|phfts|wfts)(?:\([^)]*\))?|sl|sr|nxr|nxl|adj)\.")
_QUANTIFIED = re.compile(rf"({'|'.join(QUANTIFIABLE)})(?:\((any|all)\))?\.")
_SINGLE_OPERATOR = re.compile(rf"({'|'.join(SINGLE)})\.")
_IS = re.compile("|".join(IS_VALUES), re.IGNORECASE)
_CAST = re.compile(r"[A-Za-z0-9_ $]+", re.ASCII)
_INDEX = re.compile(r"(-?\d+)(?=->|::|[.,)]|$)", re.ASCII)
_JSON_KEY = re.compile(r"[^(\-:.,>)]+(?:-(?!>)[^(\-:.,>)]+)*")
_AGGREGATE = re.compile(r"\.?(sum|avg|count|max|min)\(\)")
_PG_ARRAY = re.compile(r"\{[^{}]*\}")
_WORD = re.compile(r"[\w $]+(?:-(?!>)[\w $]+)*")


class NoOperator(Exception):
    """The text does not begin with an operator; in a call by GET it is an argument then."""


def parse_select(text: str) -> tuple[SelectItem, ...]:
    """The items of `select=`; () for an empty one."""
    scanner = _Scanner(text, "select parameter")
    items = _items(scanner) if text else ()
    if not scanner.ends(")"):  # a bracket too many is let pass
        raise scanner.unexpected("end of input")
    return items


def parse_order(text: str) -> tuple[Order, ...]:
    """The terms of `order=`."""
    scanner = _Scanner(text, "order")
    terms = _separated(scanner, _order_term)
    scanner.end()
    return terms


def parse_names(text: str, what: str) -> tuple[str, ...]:
    """The names of `columns=` or `on_conflict=`."""
    scanner = _Scanner(text, f"{what} parameter")
    names = _separated(scanner, _name)
    scanner.end()
    return names


def parse_filter(key: str, value: str) -> tuple[Path, Condition]:
    """One `key=value` filter. Raises NoOperator if `value` has no operator in front."""
    path, field = parse_key(key)
    return path, _condition(_Scanner(value, "filter"), field, _rest)


def parse_key(key: str) -> tuple[Path, Field]:
    """`embed.embed.column->json` in front of the `=`."""
    scanner = _Scanner(key, "tree path")
    names = [_name(scanner)]
    while scanner.accept("."):
        names.append(_name(scanner))
    arrows = _arrows(scanner)
    return tuple(names[:-1]), Field(name=names[-1], arrows=arrows)


def parse_logic(key: str, value: str) -> tuple[Path, Logic]:
    """`[embed.][not.]or=(a.eq.1,and(...))`."""
    names = key.split(".")
    connective: Literal["and", "or"] = "and" if names[-1] == "and" else "or"
    scanner = _Scanner(value, "logic tree")
    terms = _parenthesised_filters(scanner)
    path = tuple(name for name in names[:-1] if name != "not")
    return path, Logic(connective=connective, terms=terms, negated="not" in names[:-1])


class _Scanner:
    """A position in a text, and the complaint when nothing fits there."""

    def __init__(self, text: str, what: str) -> None:
        self.text = text
        self.what = what
        self.at = 0

    def accept(self, literal: str) -> bool:
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1

    def ahead(self, literals: str) -> bool:
        """At one of these characters."""
        return self.at < len(self.text) and self.text[self.at] in literals

    def ends(self, literals: str = "") -> bool:
        """At one of these characters, or at the end."""
        return self.at == len(self.text) or self.text[self.at] in literals

    def until(self, literals: str) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in literals:
            self.at += 1
        return self.text[start : self.at]

    def expect(self, literal: str) -> None:
        if not self.accept(literal):
            raise self.unexpected(f'"{literal}"')

    def end(self) -> None:
        if self.at != len(self.text):
            raise self.unexpected("end of input")

    def unexpected(self, expected: str) -> RestError:
        got = repr(self.text[self.at]) if self.at < len(self.text) else "end of input"
        return RestError(
            "PGRST100",
            f'"failed to parse {self.what} ({self.text})" (line 1, column {self.at + 1})',
            details=f"unexpected {got} expecting {expected}",
        )


def _separated(scanner: _Scanner, term: Callable[[_Scanner], T]) -> tuple[T, ...]:
    found = []
    while True:
        scanner.blanks()
        found.append(term(scanner))
        scanner.blanks()
        if not scanner.accept(","):
            return tuple(found)


# --------------------------------------------------------------------------- names and fields


def _name(scanner: _Scanner) -> str:
    if (quoted := _quoted(scanner)) is not None:
        return quoted
    word = scanner.match(_WORD)
    if word is None or not word[0].strip():
        raise scanner.unexpected("field name (* or [a..z0..9_$])")
    return word[0].strip()


def _quoted(scanner: _Scanner) -> str | None:
    """A double-quoted text in which a backslash makes the next character plain; None if there is none here."""
    if not scanner.ahead('"'):
        return None
    text, at, out = scanner.text, scanner.at + 1, []
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and at + 1 < len(text):
            at += 1
        out.append(text[at])
        at += 1
    if at == len(text):
        return None
    scanner.at = at + 1
    return "".join(out)


def _field(scanner: _Scanner) -> Field:
    return Field(name=_name(scanner), arrows=_arrows(scanner))


def _arrows(scanner: _Scanner) -> tuple[Arrow, ...]:
    found: list[Arrow] = []
    while True:
        if scanner.accept("->>"):
            as_text = True
        elif scanner.accept("->"):
            as_text = False
        else:
            return tuple(found)
        if (index := scanner.match(_INDEX)) is not None:
            found.append(Arrow(key=index[1], index=True, as_text=as_text))
            continue
        key = _quoted(scanner)
        if key is None:
            word = scanner.match(_JSON_KEY)
            if word is None:
                raise scanner.unexpected("any non reserved character different from: .,>()")
            key = word[0].strip()
        found.append(Arrow(key=key, index=False, as_text=as_text))


# --------------------------------------------------------------------------- select


def _items(scanner: _Scanner) -> tuple[SelectItem, ...]:
    return _separated(scanner, _item)


def _item(scanner: _Scanner) -> SelectItem:
    if scanner.accept("..."):
        return _embed(scanner, _name(scanner), alias=None, spread=True)
    if scanner.accept("*"):
        if not scanner.ends(",)"):
            raise scanner.unexpected('")", "," or end of input')
        return Column(field=Field(name="*"))
    alias = _alias(scanner)
    if scanner.match(_AGGREGATE):
        raise _aggregates()
    field = _field(scanner)
    if not field.arrows and scanner.ahead("(!"):
        return _embed(scanner, field.name, alias=alias, spread=False)
    return _column(scanner, field, alias)


def _alias(scanner: _Scanner) -> str | None:
    """`name:` but not `name::`; the scanner stays where it was if there is none."""
    start = scanner.at
    try:
        name = _name(scanner)
    except RestError:
        return None
    if scanner.accept(":") and not scanner.ahead(":"):
        scanner.blanks()
        return name
    scanner.at = start
    return None


def _column(scanner: _Scanner, field: Field, alias: str | None) -> Column:
    cast = None
    if scanner.accept("::"):
        found = scanner.match(_CAST)
        if found is None or not found[0].strip():
            raise scanner.unexpected("letter or digit")
        cast = found[0].strip()
    if scanner.match(_AGGREGATE):
        raise _aggregates()
    scanner.blanks()
    if not scanner.ends(",)"):
        raise scanner.unexpected('letter, digit, "-", "->>", "->", "::", ".", ")", "," or the end')
    return Column(field=field, alias=alias, cast=cast)


def _embed(scanner: _Scanner, name: str, *, alias: str | None, spread: bool) -> Embed:
    hint, inner = None, False
    while scanner.accept("!"):
        word = _name(scanner)
        if word in ("inner", "left"):
            inner = word == "inner"
        else:
            hint = word
    scanner.expect("(")
    scanner.blanks()
    items = () if scanner.ahead(")") else _items(scanner)
    scanner.expect(")")
    return Embed(name=name, items=items, alias=alias, hint=hint, inner=inner, spread=spread)


def _aggregates() -> RestError:
    return RestError("PGRST123", "Use of aggregate functions is not allowed")


# --------------------------------------------------------------------------- order


def _order_term(scanner: _Scanner) -> Order:
    field, relation = _field(scanner), None
    if not field.arrows and scanner.accept("("):
        relation, field = field.name, _field(scanner)
        scanner.expect(")")
    descending: bool | None = None
    if scanner.accept(".asc"):
        descending = False
    elif scanner.accept(".desc"):
        descending = True
    nulls: Literal["first", "last"] | None = None
    if scanner.accept(".nullsfirst"):
        nulls = "first"
    elif scanner.accept(".nullslast"):
        nulls = "last"
    scanner.blanks()
    if not scanner.ends(","):
        raise scanner.unexpected('"asc", "desc", "nullsfirst" or "nullslast"')
    return Order(field=field, descending=descending, nulls=nulls, relation=relation)


# --------------------------------------------------------------------------- filters


def _condition(scanner: _Scanner, field: Field, value: Callable[[_Scanner], str]) -> Condition:
    negated = scanner.accept("not.")
    operator, operand, quantifier = _operation(scanner, value, must=negated)
    return Condition(
        field=field, operator=operator, value=operand, negated=negated, quantifier=quantifier
    )


def _operation(
    scanner: _Scanner, value: Callable[[_Scanner], str], *, must: bool
) -> tuple[str, str | tuple[str, ...], Quantifier | None]:
    if scanner.accept("in."):
        return "in", _list(scanner), None
    if scanner.accept("is."):
        found = scanner.match(_IS)
        if found is None:
            raise scanner.unexpected("isVal: (null, not_null, true, false, unknown)")
        word = found[0].lower()
        return "is", word, None
    if scanner.accept("isdistinct."):
        return "isdistinct", value(scanner), None
    if scanner.match(_NOT_BUILT):
        raise Unsupported("full-text and range operators")
    if (single := scanner.match(_SINGLE_OPERATOR)) is not None:
        return single[1], value(scanner), None
    if (found := scanner.match(_QUANTIFIED)) is not None:
        quantifier: Quantifier | None = (
            "any" if found[2] == "any" else "all" if found[2] == "all" else None
        )
        return found[1], value(scanner), quantifier
    if must:
        raise scanner.unexpected("operator (eq, gt, ...)")
    raise NoOperator


def _list(scanner: _Scanner) -> tuple[str, ...]:
    """`(a,"b,c")`. A quoted item that something follows is taken as it stands, quotes and all."""
    scanner.blanks()
    scanner.expect("(")
    scanner.blanks()
    items = []
    while True:
        items.append(_item_text(scanner))
        if not scanner.accept(","):
            break
    scanner.expect(")")
    return () if items == [""] else tuple(items)


def _item_text(scanner: _Scanner) -> str:
    start = scanner.at
    quoted = _quoted(scanner)
    if quoted is not None and scanner.ends(",)"):
        return quoted
    scanner.at = start
    return scanner.until(",)")


def _rest(scanner: _Scanner) -> str:
    value = scanner.text[scanner.at :]
    scanner.at = len(scanner.text)
    return value


def _logic_value(scanner: _Scanner) -> str:
    """Inside and(...), or(...): a quoted text, an array literal, or everything up to the next comma or bracket."""
    start = scanner.at
    quoted = _quoted(scanner)
    if quoted is not None and scanner.ends(",)"):
        return quoted
    scanner.at = start
    array = scanner.match(_PG_ARRAY)
    return array[0] if array is not None else scanner.until(",)")


def _parenthesised_filters(scanner: _Scanner) -> tuple[Filter, ...]:
    scanner.blanks()
    scanner.expect("(")
    terms = _separated(scanner, _logic_term)
    scanner.expect(")")
    scanner.blanks()
    return terms


def _logic_term(scanner: _Scanner) -> Filter:
    start = scanner.at
    negated = scanner.accept("not.")
    for connective in ("and", "or"):
        if scanner.accept(connective):
            scanner.blanks()
            if scanner.ahead("("):
                return Logic(
                    connective="and" if connective == "and" else "or",
                    terms=_parenthesised_filters(scanner),
                    negated=negated,
                )
            break
    scanner.at = start
    field = _field(scanner)
    scanner.expect(".")
    try:
        return _condition(scanner, field, _logic_value)
    except NoOperator:
        raise scanner.unexpected("operator (eq, gt, ...)") from None
