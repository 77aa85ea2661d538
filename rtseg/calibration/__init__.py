"""Calibration measures on pictures which values every tensor of a graph takes, and derives its INT8 range."""
