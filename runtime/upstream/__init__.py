"""Calls to the two worlds, over an HTTP/1.1 pool of our own: nothing of one exchange ever reaches another (http-rules sections 2 to 4)."""
