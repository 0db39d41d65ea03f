"""What `python -m benchmarks run writes` is made of: nothing acknowledged is lost, doubled, or overwritten by an older version."""
