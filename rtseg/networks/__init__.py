"""Segmentation networks: what one is, which there are, their weights from disk; the modules are in zoo."""
