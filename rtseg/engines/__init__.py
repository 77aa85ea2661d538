"""TensorRT engines: built from a file of rtseg, and proven by what they say of themselves."""
