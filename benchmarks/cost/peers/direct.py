"""No gateway: what load generator and upstream can do at most, sharing one core."""

from benchmarks.cost.variant import Variant, Work

VARIANTS = (Variant(name="direct", work=Work.NONE, missing=lambda: "", command=None),)
