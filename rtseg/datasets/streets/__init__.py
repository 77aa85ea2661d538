"""Rendered road scenes with labels, for work without a dataset."""
