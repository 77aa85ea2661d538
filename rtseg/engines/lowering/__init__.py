"""From a canonical graph to what a version of TensorRT wants."""
