"""Every claim, measured: one module per topic, one JSON line per claim."""
