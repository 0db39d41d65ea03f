"""Compliance: follow-up tasks, and the cold chain's temperature logs."""
