"""JSON Merge Patch (RFC 7396). Pure."""

from typing import Any


def merge(target: Any, patch: Any) -> Any:
    """What `patch` makes of `target`: members are replaced, null removes one, objects are merged. Neither is changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged
