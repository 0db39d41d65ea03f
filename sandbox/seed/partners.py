"""What partner pharmacies do: check-ins, labels, stock, payouts, and the temperatures of their refrigerators.

Site codes and article numbers are free text in the real project, and partners use it.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from uuid import UUID

from sandbox.seed.draw import WINDOW_END, WINDOW_START, Draw, Row, jsonb
from sandbox.seed.people import PARTNERS
from sandbox.seed.words import Writer

FIRST_LABEL_ID = 2_147_483_640
"""Ids pass 2**31 within the first rows."""
FIRST_READING_ID = 5_000_000_001

SITES = ("LDN-01", "ST~MARY/02", "N 1%", "Łódź №7", "A&B+C?x#1", 'back\\sl"ash,')
SKUS = ("KIT-001", "KIT 100%", "swab/long~2", "été-5", "00042", "a=b;c:d@e")
_CURRENCIES = ("GBP", "EUR", "USD", "JPY")


def checkins(draw: Draw, write: Writer, count: int) -> list[Row]:
    """What arrived at a site."""
    rows = []
    for number in range(count):
        partner, site = _place(draw, number)
        at = draw.created()
        rows.append(
            {
                "id": draw.uuid(),
                "partner_id": partner,
                "site_code": site,
                "checked_in_by": draw.maybe(draw.uuid(), 0.8),
                "sku": draw.choice(SKUS),
                "lot_number": draw.maybe(f"LOT {draw.hex(6)}/ß", 0.7),
                "expires_on": draw.maybe(draw.day(date(2024, 1, 1), date(2029, 12, 31)), 0.7),
                "quantity": draw.choice((0, 1, 12, 500, 2_147_483_647)),
                "condition": draw.choice(("ok", "ok", "ok", "damaged", "quarantined")),
                "notes": draw.maybe(write.note(), 0.5),
                "checked_in_at": at,
                "created_at": at,
                "updated_at": draw.updated(at),
            }
        )
    return rows


def labels(draw: Draw, write: Writer, orders: list[Row], count: int) -> list[Row]:
    """The print queue: printed ones, failures with their error, and some that a printer has locked."""
    statuses = ("queued", "printing", "printed", "failed", "cancelled")
    rows = []
    for number in range(count):
        partner, site = _place(draw, number)
        status = statuses[number % 5] if number < 15 else draw.choice(statuses)
        created = draw.created()
        changed = draw.within(created, 2) if status != "queued" else created
        rows.append(
            {
                "id": FIRST_LABEL_ID + number,
                "partner_id": partner,
                "site_code": site,
                "lab_order_id": draw.maybe(draw.choice(orders)["id"], 0.8) if orders else None,
                "label_type": draw.choice(("shipping", "return", "sample tube")),
                "payload": jsonb(
                    {"lines": [write.title()], "copies": draw.integer(1, 3)}
                    if draw.chance(0.8)
                    else {}
                ),
                "status": status,
                "attempts": {"queued": 0, "failed": 3}.get(status, 1),
                "locked_by": "printer-1" if status == "printing" else None,
                "locked_until": changed + timedelta(minutes=5) if status == "printing" else None,
                "printed_at": changed if status == "printed" else None,
                "last_error": write.note() if status == "failed" else None,
                "created_at": created,
                "updated_at": draw.updated(changed),
            }
        )
    return rows


def stock_levels(draw: Draw, count: int) -> list[Row]:
    """At most one row per partner, site and article; recounts after a mix-up leave negative numbers."""
    keys = list(product(SKUS, SITES, PARTNERS))[:count]  # partners first: a small world has all
    rows = []
    for number, (sku, site, partner) in enumerate(keys):
        created = draw.created()
        counted = draw.within(created, 60) if draw.chance(0.8) else None
        rows.append(
            {
                "partner_id": partner,
                "site_code": site,
                "sku": sku,
                "on_hand": -3 if number % 17 == 5 else draw.integer(0, 400),
                "reserved": draw.integer(0, 20),
                "reorder_point": draw.maybe(draw.integer(0, 50), 0.7),
                "counted_at": counted,
                "created_at": created,
                "updated_at": draw.updated(counted or created),
            }
        )
    return rows


def payouts(draw: Draw, scale: int) -> list[Row]:
    """One per partner and month; each one's details add up to its gross amount. Refunds make some negative."""
    months = [date(year, month, 1) for year in (2023, 2024, 2025) for month in range(1, 13)]
    months = [month for month in months if month < date(2025, 5, 1)]
    rows: list[Row] = []
    for partner, start in product(PARTNERS, months[: 9 + scale // 20]):
        end = (start + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        rows.append(_payout(draw, partner, start, end, number=len(rows)))
    return rows


def temperature_logs(draw: Draw, count: int) -> list[Row]:
    """Readings of each partner's refrigerators, in the order of their ids; two to eight degrees are fine."""
    rows: list[Row] = []
    devices = [
        (partner, site, f"{site}/fridge {number}")
        for partner in PARTNERS
        for number, site in enumerate(SITES[:2])
    ]
    step = (WINDOW_END - WINDOW_START) / (count + 1)
    for number in range(count):
        partner, site, device = devices[number % len(devices)]
        # A grid of instants: (device, measured_at) is unique, and readings of several devices share an instant.
        at = (WINDOW_START + step * (number - number % len(devices) + 1)).replace(
            microsecond=(number // 7 % 2) * 125
        )
        degrees = Decimal(draw.integer(210, 790)) / 100
        if draw.chance(0.05):
            degrees = draw.choice(
                (Decimal("-18.50"), Decimal("11.50"), Decimal("0.00"), Decimal("-0.05"))
            )
        rows.append(
            {
                "id": FIRST_READING_ID + number,
                "partner_id": partner,
                "site_code": site,
                "device_id": f"{partner.hex[-2:]} {device}",
                "measured_at": at,
                "temperature_c": degrees,
                "humidity_pct": draw.choice((None, 0.0, 100.0, 45.3, 51.25)),
                "excursion": not Decimal(2) <= degrees <= Decimal(8),
                "battery_mv": draw.maybe(draw.integer(2_700, 3_300), 0.8),
                "raw": draw.choice((None, "{}", '{"t":4.50,"rssi":-71,"seq":[1,2]}')),
                "created_at": at + timedelta(seconds=draw.choice((0, 0, 2, 86_400))),
            }
        )
    return rows


def _place(draw: Draw, number: int) -> tuple[UUID, str]:
    """Partners and sites in turn first, so that a small world has them all."""
    if number < len(PARTNERS) * len(SITES):
        return PARTNERS[number % len(PARTNERS)], SITES[number // len(PARTNERS)]
    return draw.choice(PARTNERS), draw.choice(SITES)


def _payout(draw: Draw, partner: UUID, start: date, end: date, *, number: int) -> Row:
    statuses = ("draft", "approved", "sent", "paid", "failed", "reversed")
    status = statuses[number % 6] if number < 12 else draw.choice((*statuses, "paid", "paid"))
    cents = [draw.choice((1, 1250, 99_900, 5_000_000)) for _ in range(draw.integer(0, 4))]
    if number % 11 == 7:
        cents.append(-10_000_050)
    gross = Decimal(sum(cents)) / 100
    created = datetime(end.year, end.month, end.day, 23, 0, tzinfo=UTC) + timedelta(hours=2)
    paid = status in ("paid", "reversed")
    settled = draw.within(created, 20)
    # Written by hand: amounts keep their trailing zeros, and money never becomes a float.
    lines = ",".join(
        f'{{"line":{index},"amount":{Decimal(part) / 100:.2f}}}'
        for index, part in enumerate(cents, 1)
    )
    return {
        "id": draw.uuid(),
        "partner_id": partner,
        "period_start": start,
        "period_end": end,
        "gross_amount": gross,
        "fee_amount": draw.choice(
            (Decimal("0.00"), Decimal("1.50"), Decimal("-0.10"), Decimal("99.99"))
        ),
        "currency": draw.choice(_CURRENCIES),
        "status": status,
        "remittance_reference": f"RMT/{start:%Y%m}/{draw.hex(6)} é"
        if status in ("sent", "paid", "reversed")
        else None,
        "paid_at": settled if paid else None,
        "details": f"[{lines}]",
        "created_at": created,
        "updated_at": draw.updated(settled if status != "draft" else created),
    }
