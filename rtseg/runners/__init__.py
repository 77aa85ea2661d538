"""Backends that run a graph; all implement the protocol of rtseg.frame.protocol."""
