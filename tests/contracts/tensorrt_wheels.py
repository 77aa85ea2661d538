"""The real binding wheels of TensorRT, imported on a machine without its libraries.

The bindings are linked against a handful of C functions that make the first objects. A library that has these
names, and gives null pointers, lets everything else be asked of the real classes: what they are called, what they
inherit, how they are subclassed, what they raise.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

WHEELS = {
    "8.6.1": "tensorrt-bindings==8.6.1",
    "10.0.1": "tensorrt-cu12-bindings==10.0.1",
    "10.3": "tensorrt-cu12-bindings==10.3.0",
    "10.16.1": "tensorrt-cu12-bindings==10.16.1.11",
    "11.4": "tensorrt-cu12-bindings==11.4.0.106",
}
"""The versions whose bindings are wheels of their own. 8.5.3 came with its libraries, of a gigabyte."""

FIRST_OBJECTS = re.compile(
    r"(createInfer|createNv|getBuilderPlugin|getNvOnnx|getPluginRegistry|initLibNv|_ZN1\d+nv)\w*"
)
"""Functions that the bindings want of TensorRT's libraries."""


def downloaded(requirement: str, folder: Path) -> Path | None:
    """Return the wheel, or None where the package index has none for this interpreter or cannot be reached."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--only-binary=:all:", requirement]
    if subprocess.run([*command, "-d", str(folder)], capture_output=True, timeout=300, check=False).returncode:
        return None
    return next(folder.glob("*.whl"), None)


def unpacked(wheel: Path, folder: Path) -> dict[str, str]:
    """Unpack a wheel as the package tensorrt, make the stub libraries, and return the environment that imports it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    package = folder / "tensorrt_bindings"
    (folder / "tensorrt").mkdir()
    (folder / "tensorrt" / "__init__.py").write_text(
        "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
    )
    shared = package / "tensorrt.so"
    listed = subprocess.run(["nm", "-D", "--undefined-only", str(shared)], capture_output=True, text=True, check=True)
    names = [line.split()[-1] for line in listed.stdout.splitlines()]
    stubs = "\n".join(f"void *{name}(void) {{ return 0; }}" for name in names if FIRST_OBJECTS.fullmatch(name))
    needed = subprocess.run(["readelf", "-d", str(shared)], capture_output=True, text=True, check=True).stdout
    libraries = folder / "lib"
    libraries.mkdir()
    for library in re.findall(r"\[(libnv\w+\.so\.\d+)\]", needed):
        command = ["gcc", "-w", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-x", "c", "-", "-o", libraries / library]
        subprocess.run(command, input=stubs, text=True, check=True, timeout=60)
    return {"LD_LIBRARY_PATH": str(libraries), "PYTHONPATH": str(folder)}
