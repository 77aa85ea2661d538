"""Convert any opset that onnx knows to the canonical one; refuse operators that have no form there."""
