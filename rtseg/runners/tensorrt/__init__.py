"""Run engines with TensorRT; also what building and running share: version, log messages, reading an engine."""
