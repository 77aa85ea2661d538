"""Read build settings from a TOML file into a frozen dataclass: how long and for what TensorRT searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from rtseg.artifacts.files import PathLike, read_utf8
from rtseg.artifacts.toml_package import toml_package
from rtseg.errors import SpecError

HARDWARE_COMPATIBILITIES = ("none", "ampere_plus", "same_compute_capability")
TILINGS = ("none", "fast", "moderate", "full")

_TYPES: dict[str, type] = {"int": int, "str": str, "bool": bool}
_RANGES = {
    "workspace_mib": (0, 1 << 24),
    "optimization_level": (0, 5),
    "max_aux_streams": (-1, 64),
    "avg_timing_iterations": (1, 100),
}


@dataclass(frozen=True)
class BuildSettings:
    """Everything except graph and precision that decides what TensorRT builds. The defaults are TensorRT's own.

    workspace_mib limits the scratch memory of a layer in MiB; 0 allows all of the GPU's. optimization_level, 0 to 5,
    sets how many kernels are tried. max_aux_streams -1 leaves the number of streams to TensorRT. hardware_compatibility
    lets the engine run on other GPUs too, at lower speed. tiling joins layers so that their tensors stay in the L2
    cache. avg_timing_iterations is how often each kernel is timed. timing_cache keeps those times for the next build.
    tf32 lets FP32 convolutions use the tensor cores. external_tactics lets TensorRT 8 use cuDNN and cuBLAS, which must
    then be installed.
    """

    workspace_mib: int = 0
    optimization_level: int = 3
    max_aux_streams: int = -1
    hardware_compatibility: str = "none"
    tiling: str = "none"
    avg_timing_iterations: int = 1
    timing_cache: bool = True
    tf32: bool = True
    external_tactics: bool = True

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if type(value) is not _TYPES[str(entry.type)]:
                raise SpecError(
                    f"the build setting {entry.name} has the wrong type", got=repr(value), expected=entry.type
                )
        for name, (least, most) in _RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise SpecError(
                    f"the build setting {name} is out of range", got=getattr(self, name), expected=f"{least} to {most}"
                )
        for name, known in (("hardware_compatibility", HARDWARE_COMPATIBILITIES), ("tiling", TILINGS)):
            if getattr(self, name) not in known:
                raise SpecError(f"unknown {name}", got=repr(getattr(self, name)), expected=f"one of {', '.join(known)}")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain values that the json module can write."""
        return asdict(self)

    def replaced(self, changes: Mapping[str, Any]) -> BuildSettings:
        """Return the settings with those fields changed; a field given as None stays as it is."""
        return replace(self, **{name: value for name, value in changes.items() if value is not None})


def read_settings(path: PathLike) -> BuildSettings:
    """Return the settings in a TOML file. Raises SpecError that names the wrong field.

    Before Python 3.11 it needs the package tomli; everything else here works without.
    """
    package = toml_package("build settings")
    try:
        data = package.loads(read_utf8(path))
    except OSError as error:
        raise SpecError(f"cannot read the build settings {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or numbers and nesting without end
        raise SpecError(f"{path} is not TOML: {error}") from error
    known = {entry.name for entry in fields(BuildSettings)}
    if unknown := sorted(set(data) - known):
        raise SpecError(f"{path} has unknown fields", got=", ".join(unknown), expected=", ".join(sorted(known)))
    return BuildSettings(**data)
