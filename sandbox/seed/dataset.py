"""The whole data set: one list of rows per table, in an order in which foreign keys hold."""

from dataclasses import dataclass

from sandbox.seed import care, diagnostics, partners, scheduling
from sandbox.seed.draw import Draw, Row
from sandbox.seed.people import PATIENTS
from sandbox.seed.submissions import submissions, users
from sandbox.seed.words import Writer

DEFAULT_SCALE = 500
DEFAULT_SEED = 1
SMALLEST_SCALE = 20
"""Below, not every status and sample user could have a row."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """`tables` maps a qualified name to its rows; each row names every column but generated ones."""

    scale: int
    seed: int
    tables: dict[str, list[Row]]

    def count(self) -> int:
        return sum(len(rows) for rows in self.tables.values())


def generate(scale: int = DEFAULT_SCALE, seed: int = DEFAULT_SEED) -> Dataset:
    """Data for `scale` patients; the same arguments give the same rows. Raises ValueError below SMALLEST_SCALE."""
    if scale < SMALLEST_SCALE:
        raise ValueError(f"scale {scale} is too small: at least {SMALLEST_SCALE} patients")
    write = Writer(seed)

    def draw(name: str) -> Draw:
        return Draw(seed, name)

    auth_users, of_patients = users(draw("users"), max(scale, len(PATIENTS)))
    forms = submissions(draw("submissions"), write, auth_users, of_patients)
    booked = scheduling.appointments(draw("appointments"), write, forms)
    orders, events = diagnostics.orders(draw("lab_orders"), write, forms)
    tables = {
        "auth.users": auth_users,
        "public.submissions": forms,
        "public.appointments": booked,
        "public.appointment_requests": scheduling.requests(draw("requests"), write, forms, booked),
        "public.lab_orders": orders,
        "public.lab_order_events": events,
        "public.action_plans": care.action_plans(draw("action_plans"), write, forms),
        "public.compliance_tasks": care.compliance_tasks(draw("compliance_tasks"), write, forms),
        "public.partner_checkins": partners.checkins(draw("checkins"), write, 20 + scale // 2),
        "public.partner_label_queue": partners.labels(
            draw("labels"), write, orders, 20 + scale // 2
        ),
        "public.partner_stock_levels": partners.stock_levels(draw("stock"), 36 + scale // 10),
        "public.partner_payouts": partners.payouts(draw("payouts"), scale),
        "public.partner_temperature_logs": partners.temperature_logs(
            draw("readings"), 60 + 2 * scale
        ),
    }
    return Dataset(scale=scale, seed=seed, tables=tables)
