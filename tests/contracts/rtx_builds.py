"""Engines of TensorRT for RTX as the contracts build them, and what they are built from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtseg.datasets.registry import class_spec
from rtseg.engines.building import build_engine
from rtseg.engines.engine_cache import EngineCache
from rtseg.engines.engine_file import BuiltEngine
from rtseg.exporting.onnx_file import export_onnx
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.resolve import resolve_network
from rtseg.quantization.files import int8_graph, read_original, read_table, write_derived
from rtseg.runners.tensorrt.module import RTX
from rtseg.specs import Resolution

ROOT = Path(__file__).resolve().parents[2]
SMALL = Resolution(64, 96)


class NothingKept(EngineCache):
    """A cache that keeps nothing: every build is one, and no engine of 250 MB is written twice."""

    def keep(self, key: object, plan: object) -> None:
        """Keep nothing."""


def built(path: Path, precision: str, *capabilities: str, folder: Path, **options: object) -> BuiltEngine:
    """Return a new engine, of the file's own graph unless rewrite is among the options."""
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{path.stem}.{precision}.{'-'.join(capabilities) or 'portable'}.engine"
    settings: dict[str, Any] = {"cache": NothingKept(folder / "cache"), "rewrite": False, **options}
    return build_engine(path, name, precision=precision, runtime=RTX, capabilities=capabilities, **settings)


def exported(name: str, folder: Path, resolution: Resolution = SMALL, classes: str = "camvid", **options: Any) -> Path:
    """Return the file of a network with random weights."""
    path = folder / f"{name}.onnx"
    export_onnx(network_with_random_weights(name, class_spec(classes), seed=1), resolution, path, **options)
    return path


def quantized(name: str, folder: Path) -> Path:
    """Return the INT8 file of a shipped checkpoint, by its shipped calibration table."""
    network = resolve_network(None, None, checkpoint=ROOT / "export" / "checkpoints" / f"{name}.safetensors")
    export_onnx(network, Resolution(360, 480), folder / f"{name}.onnx")
    original = read_original(folder / f"{name}.onnx")
    table = read_table(ROOT / "calibration" / f"{name}-360x480.table.json", original)
    model, _ = int8_graph(original, table, target="tensorrt")
    write_derived(original, model, folder / f"{name}.int8.onnx", precision="int8")
    return folder / f"{name}.int8.onnx"
