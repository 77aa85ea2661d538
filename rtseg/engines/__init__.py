"""Build TensorRT engines from rtseg files, and verify each engine's precision from its own layer information."""
