"""Behind the caller's answer the other side is asked the same, and both answers are compared (docs/shadow.md)."""
