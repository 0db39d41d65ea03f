"""Scheduling: appointments, and the queue of requested ones."""
