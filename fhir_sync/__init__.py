"""Rows to FHIR R4. Empty so far: it comes with its own issue."""
