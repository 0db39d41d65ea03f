"""A constraint's name becomes a field of v2 and a stable word."""

import pytest

from routes import resources
from routes.constraint import refused_field

pytestmark = pytest.mark.unit

BY_ENTITY = {resource.entity: resource for resource in resources()}


@pytest.mark.parametrize(
    ("entity", "constraint", "field", "code"),
    [
        ("lab_orders", "lab_orders_submission_id_fkey", "submission_id", "does_not_exist"),
        ("lab_orders", "lab_orders_ordered_by_fkey", "requester_id", "does_not_exist"),
        ("lab_orders", "lab_orders_priority_check", "priority", "not_allowed"),
        ("lab_orders", "lab_order_priority_check", "priority", "not_allowed"),
        ("lab_orders", "lab_order_order_number_key", "order_number", "taken"),
        ("lab_orders", "lab_orders_pkey", "id", "taken"),
        ("lab_orders", "lab_orders_vendor_vendor_order_id_key", "vendor_reference", "taken"),
        ("lab_orders", "lab_order_vendor_vendor_reference_key", "vendor_reference", "taken"),
        ("appointments", "appointment_times", "ends_at", "not_behind_starts_at"),
        ("appointments", "no_double_booking", "starts_at", "clinician_is_booked"),
        ("action_plans", "action_plans_storage_bucket_storage_path_key", "row", "taken"),
        ("submissions", "somebody_named_it", "row", "not_allowed"),
        ("submissions", "", "row", "not_allowed"),
    ],
)
def test_what_a_constraint_says(entity, constraint, field, code):
    said = refused_field(BY_ENTITY[entity], constraint)
    assert (said.field, said.code) == (field, code)
