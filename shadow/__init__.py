"""Is the new answer the old one? Empty so far: it comes with its own issue."""
