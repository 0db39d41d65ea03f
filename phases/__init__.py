"""Gates, evidence, sign-offs, cutover and rollback. Empty so far: it comes with its own issue."""
