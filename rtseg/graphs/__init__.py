"""ONNX graphs as data: the canonical contract, an index over a graph, its work in operations, its identity."""
