"""Machinery that the processes share."""
