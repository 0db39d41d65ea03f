"""The HTTP edge: the data plane (one ASGI callable) and the control API."""
