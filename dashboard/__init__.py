"""The operators' page. Empty so far: it comes with its own issue."""
