"""The names of the CUDA packages: the lists in tests/data/cuda_bindings, and the same taken from what is installed.

    python tests/runners/cuda/package_names.py cuda-python > tests/data/cuda_bindings/cuda-python-13.5.0.json

writes one, with the package on the path (and, for PyCUDA, a driver).
"""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from typing import Any

FUNCTIONS = re.compile(
    r"(?!.*(Node|Pool|Array|2D|3D|Ipc|Prefetch|Batch|External|Export|Import|Conditional|Coredump|Peer))"
    r"(cu(Init|(Driver|Device|Ctx|Mem|Stream|Event|Module|Launch|Graph)\w+)|nvrtc[A-Z]\w+)"
)
"""The families of functions that are used, and could be."""

ENUMS = ("CUresult", "CUstream_flags", "CUevent_flags", "CUstreamCaptureMode", "CUdevice_attribute", "nvrtcResult")
CLASSES = (
    "Context",
    "Device",
    "DeviceAllocation",
    "Event",
    "Function",
    "Module",
    "Stream",
    "device_attribute",
    "event_flags",
)


def cuda_python() -> dict[str, Any]:
    """Return what the installed cuda-python has: its functions with the count of their parameters, its enums."""
    from rtseg.runners.cuda.bindings_package import bindings

    found = {name: value for module in bindings() for name, value in vars(module).items()}
    functions = [name for name in found if FUNCTIONS.fullmatch(name) and not isinstance(found[name], type)]
    return {
        "functions": {name: parameters(found[name].__doc__) for name in functions},
        "enums": {name: sorted(member.name for member in found[name]) for name in ENUMS},
    }


def pycuda() -> dict[str, Any]:
    """Return what the installed PyCUDA has: the names of pycuda.driver, and those of its classes."""
    module = import_module("pycuda.driver")
    return {
        "module": sorted(name for name in vars(module) if not name.startswith("_")),
        "classes": {name: sorted(n for n in dir(getattr(module, name)) if not n.startswith("__")) for name in CLASSES},
    }


def parameters(documentation: str) -> int:
    """Return how many parameters a docstring's first line, such as `cuEventRecord(hEvent, hStream)`, has."""
    line = documentation.strip().splitlines()[0]
    inner = re.sub(r"\[[^\]]*\]", "", line[line.index("(") + 1 : line.rindex(")")])
    return inner.count(",") + 1 if inner.strip() else 0


if __name__ == "__main__":
    json.dump({"cuda-python": cuda_python, "pycuda": pycuda}[sys.argv[1]](), sys.stdout, indent=1, sort_keys=True)
    print()
