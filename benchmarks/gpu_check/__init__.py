"""`python -m benchmarks.gpu_check`: what only a GPU can show, shown by one command and written into one ledger.

prepare    on a machine with torch, onnx and onnxruntime: graphs ready for TensorRT, pictures, and ONNX Runtime's labels
run        on a GPU host: each engine built, audited, compared with those labels, timed; a ledger that can be resumed

run needs Python 3.9, NumPy, TensorRT and the CUDA bindings; where an interpreter with torch is there too, the same
frame is timed in torch. Every task is a process of its own, so that a crash or a hanging build costs one entry.
"""
