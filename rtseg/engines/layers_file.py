"""Find and read the layer file beside an engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rtseg.artifacts.files import PathLike, read_utf8
from rtseg.engines.inspector import INSPECTOR, EngineLayers, parse_layers
from rtseg.errors import EngineError

LAYERS_SUFFIX = ".layers.json"
ENGINE_SUFFIXES = (".engine", ".plan", ".trt")
SAVE = "trtexec --loadEngine={engine} --skipInference --exportLayerInfo={layers}"


def layers_beside(engine: PathLike) -> Path:
    """Return the path of the inspector's text for the engine at that path: NAME.engine.layers.json."""
    return Path(f"{engine}{LAYERS_SUFFIX}")


def layers_path(path: PathLike) -> Path:
    """Return the path of the inspector's text: NAME.engine.layers.json beside an engine, else path itself.

    path is an engine if it has an engine's suffix, or if such a file lies beside it.
    """
    given = Path(path)
    beside = layers_beside(given)
    return beside if given.suffix in ENGINE_SUFFIXES or beside.is_file() else given


def engine_path(path: PathLike) -> Path | None:
    """Return the engine at path, or the one that the layer file at path belongs to; None if the name fits neither."""
    given = Path(path)
    if layers_path(given) != given:
        return given
    if given.name.endswith(LAYERS_SUFFIX):
        return given.with_name(given.name[: -len(LAYERS_SUFFIX)])
    return None


def read_layers(path: PathLike) -> EngineLayers:
    """Return the layers of an engine, or of a saved inspector file. No TensorRT and no GPU is needed.

    Raises EngineError if the file is missing, is not an inspector file, or was saved without details.
    """
    source = layers_path(path)
    if source != Path(path) and not source.exists() and not Path(path).exists():
        raise EngineError(
            f"cannot read {path}: no such file", hint="pass the path of an engine, or of its .layers.json"
        )
    hint = "pass the file that trtexec --exportLayerInfo or rtseg build saved"
    if source != Path(path):
        hint = f"run rtseg build, which saves it, or {SAVE.format(engine=path, layers=source)}"
    return parse_layers(read_json(source, hint=hint), str(source))


def read_json(path: Path, *, hint: str) -> Any:
    """Return the content of a JSON file as TensorRT's tools write it. Raises EngineError."""
    try:
        text = read_utf8(path)
    except OSError as error:
        raise EngineError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise EngineError(f"{path} is not text", expected="JSON", hint=hint) from error
    return parse_json(text, str(path), hint=hint)


def parse_json(text: str, source: str = INSPECTOR, *, hint: str = "") -> Any:
    """Return the content of JSON as TensorRT's tools write it. source names it in messages. Raises EngineError."""
    if re.search(r"\\u[dD][89a-fA-F]", text):
        raise EngineError(f"{source} holds an unpaired surrogate escape, which is not valid text", hint=hint)
    try:
        # TensorRT 8.6 puts control characters between the names in Metadata, unescaped.
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{source} is not JSON, or only a part of it ({error})", hint=hint) from error
