"""From a canonical FP32 graph to an INT8 or FP16 one."""
