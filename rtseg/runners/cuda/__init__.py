"""CUDA behind one thin module: `open_cuda` gives a driver, `device_pointer` takes arrays of others without copies.

Importing it needs NumPy only, and no GPU. What is missing is said by open_cuda, in one line.
"""

from __future__ import annotations

from rtseg.runners.cuda.arrays import DeviceView, device_pointer
from rtseg.runners.cuda.protocol import CudaDriver, DeviceInfo, DeviceMemory, Event, Graph, Kernel, Module, Stream
from rtseg.runners.cuda.registry import DEFAULT, DRIVERS, open_cuda

__all__ = [
    "DEFAULT",
    "DRIVERS",
    "CudaDriver",
    "DeviceInfo",
    "DeviceMemory",
    "DeviceView",
    "Event",
    "Graph",
    "Kernel",
    "Module",
    "Stream",
    "device_pointer",
    "open_cuda",
]
