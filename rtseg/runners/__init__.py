"""Backends that run a graph, all behind the protocol of rtseg.frame.protocol."""
