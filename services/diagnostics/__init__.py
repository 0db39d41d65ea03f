"""Diagnostics: lab orders and the append-only trail of what happened to them."""
