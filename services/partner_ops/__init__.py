"""Partner Operations: check-ins, the label queue, stock levels."""
