"""Segmentation networks: the contract, the registry, and weights from disk. The modules are in zoo."""
