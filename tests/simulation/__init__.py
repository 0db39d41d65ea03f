"""The one-seed simulator: the real write and mirror code in a world of memory and virtual time (docs/simulation.md)."""
