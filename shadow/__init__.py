"""Is the new answer the old one? Comparison, evidence and verdict, without I/O (docs/shadow.md)."""
