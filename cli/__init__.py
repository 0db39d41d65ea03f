"""Argument parsing for the console scripts, nothing else."""
