"""`Disagreement`: what a side answers cannot be right."""


class Disagreement(Exception):
    """An upstream's answer breaks what both sides promise (order, shape); answering would show wrong rows."""
