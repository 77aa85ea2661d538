"""What building and running engines share of TensorRT: its version, its words, and its answer to an engine's bytes."""
