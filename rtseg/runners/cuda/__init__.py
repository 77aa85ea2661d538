"""CUDA behind one thin module: `open_cuda` returns a driver, `device_pointer` reads other libraries' arrays in place.

Importing it needs only NumPy, and no GPU. open_cuda reports in one line what is missing.
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
