"""A GPU that is the CPU: CUDA's rules, the kernels' own source, and engines run by ONNX Runtime behind TensorRT's API.

It proves what a CPU can prove of code that runs on a GPU: calls, their order, buffers, threads, and the labels that
come out. It says nothing of speed, and nothing of what TensorRT makes of a graph.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Where the API data of each version and the kernels compiled for the CPU are.
sys.path += [str(Path(__file__).resolve().parents[1] / folder) for folder in ("contracts", "native")]
