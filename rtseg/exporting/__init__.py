"""From a module in PyTorch to a canonical ONNX file that provably says the same."""
