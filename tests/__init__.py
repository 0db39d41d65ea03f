"""The proof. Tiers are pytest markers; tests/tiers.py runs them and names what it skips."""
