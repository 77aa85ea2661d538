"""Export a PyTorch module to a canonical ONNX file that is proven to compute the same."""
