"""Turn a canonical FP32 graph into an INT8 or FP16 graph."""
