"""Lower a canonical graph into the form that a TensorRT version accepts."""
