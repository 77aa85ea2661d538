"""From any opset that onnx knows to the canonical one: what each operator becomes there, and which cannot."""
