"""A GPU that is the CPU: CUDA's rules, the kernels' own source, and engines run by ONNX Runtime behind TensorRT's API.

It proves what a CPU can prove of code that runs on a GPU: calls, their order, buffers, threads, and the labels that
come out. It says nothing of speed, and nothing of what TensorRT makes of a graph.
"""
