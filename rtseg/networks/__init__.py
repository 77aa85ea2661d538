"""Segmentation networks: their modules, the facts beside them, and weights from disk."""
