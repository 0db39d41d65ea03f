"""The seven domain services that replace the legacy tables."""
