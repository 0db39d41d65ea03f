"""Synthetic data for the demonstration project: the same scale and seed give the same rows, byte for byte."""
