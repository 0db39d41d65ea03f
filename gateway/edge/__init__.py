"""The HTTP/1.1 server that clients meet: refuses what two readers could understand differently, and holds nobody's connection for long."""
