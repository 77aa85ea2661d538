"""Backends that run a graph, all behind the protocol of rtseg.runners.protocol."""
