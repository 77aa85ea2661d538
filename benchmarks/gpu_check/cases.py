"""What a GPU check runs on, as a folder that can be carried to a host without a network.

    cases.json          the cases: a network at a size, with its graphs, pictures and reference labels
    files/SHA256        everything else, named by its digest, so that equal content is there once

A graph is kept as a skeleton and the large constants that stand in it: sizes and precisions of one network share their
weights. Reading needs NumPy only.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.files import PathLike, write_text_atomically, written_atomically
from rtseg.artifacts.manifest import Manifest
from rtseg.engines.plan import ReadyGraph
from rtseg.errors import ArtifactError, ManifestError, SpecError
from rtseg.specs import Resolution

FORMAT = "rtseg-gpu-cases/1"
HOW_TO_MAKE = "make gpu-cases on a machine with torch, onnx and onnxruntime, then copy the folder here"

Pixels = NDArray[np.uint8]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class StoredGraph:
    """A ReadyGraph whose bytes lie in the folder. parent is the manifest of the file it was made from.

    constants says at which offset of the skeleton which file's bytes are to be inserted, in ascending order.
    """

    interface: str
    precision: str
    typed: bool
    builder_flags: tuple[str, ...]
    account: str
    source_sha256: str
    sha256: str
    skeleton: str
    constants: tuple[tuple[int, str], ...]
    parent: Mapping[str, Any]


@dataclass(frozen=True)
class StoredPicture:
    """A picture of a dataset, uint8 RGB, and its truth where labelled; both in the file with that digest."""

    name: str
    data: str
    height: int
    width: int
    labelled: bool
    sha256: str


@dataclass(frozen=True)
class Case:
    """A network with its weights at a size.

    checkpoint is its manifest, weights the file with its tensors for torch. references names, by the precision of the
    ONNX file (fp32, int8), the file with the label maps that ONNX Runtime gives for the pictures, in their order.
    calibration says what the ranges of INT8 come from. The first picture is of the case's own size.
    """

    network: str
    resolution: str
    checkpoint: Mapping[str, Any]
    weights: str
    calibration: Mapping[str, Any]
    pictures: tuple[StoredPicture, ...]
    references: Mapping[str, str]
    graphs: tuple[StoredGraph, ...]

    @property
    def size(self) -> Resolution:
        """The size of the network's input."""
        return Resolution.parse(self.resolution)

    def digest(self) -> str:
        """Return a digest of all that the case consists of."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def graph(self, interface: str, precision: str, *, typed: bool) -> StoredGraph:
        """Return the graph for that precision. Raises ArtifactError where the cases were made without it."""
        for graph in self.graphs:
            if (graph.interface, graph.precision, graph.typed) == (interface, precision, typed):
                return graph
        form = "TensorRT 10 and newer (typed)" if typed else "TensorRT before 10 (flags)"
        raise ArtifactError(
            f"the cases hold no {interface} graph of {self.network} {self.resolution} in {precision} for {form}",
            hint=f"python -m benchmarks.gpu_check prepare --form {'typed' if typed else 'flags'}",
        )


class CaseFolder:
    """The folder. Files are compared with their digest whenever they are read."""

    def __init__(self, folder: PathLike) -> None:
        self.folder = Path(folder)

    @property
    def index(self) -> Path:
        """The file that lists the cases; a folder without it holds none."""
        return self.folder / "cases.json"

    def cases(self) -> tuple[Case, ...]:
        """Return the cases in the order in which they were written. Raises ArtifactError where there are none."""
        try:
            data = json.loads(self.index.read_text(encoding="utf-8"))
        except OSError as error:
            raise ArtifactError(f"cannot read {self.index}: {error.strerror}", hint=HOW_TO_MAKE) from error
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{self.index} is not JSON ({error})", hint=HOW_TO_MAKE) from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            got = data.get("format") if isinstance(data, dict) else type(data).__name__
            raise ArtifactError(f"{self.index} lists no cases", got=repr(got), expected=FORMAT, hint=HOW_TO_MAKE)
        try:
            return tuple(_case(values) for values in data["cases"])
        except (KeyError, TypeError, ValueError, SpecError, ManifestError) as error:
            raise ArtifactError(f"{self.index} is damaged ({error})", hint=HOW_TO_MAKE) from error

    def write_cases(self, cases: Sequence[Case], tools: Mapping[str, str]) -> None:
        """Write the list, whole or not at all, and remove the files that it does not name. Raises WriteError."""
        facts = {"format": FORMAT, "tools": dict(tools), "cases": [asdict(case) for case in cases]}
        write_text_atomically(self.index, json.dumps(facts, indent=1) + "\n")
        named = set().union(*map(_files_of, cases))
        for path in (self.folder / "files").iterdir():
            if re.fullmatch("[0-9a-f]{64}", path.name) and path.name not in named:
                path.unlink()

    def put(self, content: bytes) -> str:
        """Keep content, once, and return its digest. Raises WriteError."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / "files" / digest
        if not path.is_file() or path.stat().st_size != len(content):
            with written_atomically(path) as part:
                part.write_bytes(content)
        return digest

    def get(self, digest: str) -> bytes:
        """Return the content with that digest. Raises ArtifactError where it is missing or altered."""
        path = self.folder / "files" / digest
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ArtifactError(f"cannot read {path}: {error.strerror}", hint="copy the whole folder again") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise ArtifactError(f"{path} is not what its name says", hint="copy the whole folder again")
        return content

    def put_arrays(self, arrays: Arrays) -> str:
        """Keep arrays by name, compressed; equal arrays give an equal digest. Raises WriteError."""
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # any name is an array's
        return self.put(stream.getvalue())

    def arrays(self, digest: str) -> dict[str, NDArray[Any]]:
        """Return the arrays that put_arrays kept. Raises ArtifactError."""
        with np.load(io.BytesIO(self.get(digest)), allow_pickle=False) as archive:
            return dict(archive)

    def picture(self, stored: StoredPicture) -> tuple[Pixels, Pixels | None]:
        """Return image, uint8 RGB (height, width, 3), and truth, uint8 (height, width), or None."""
        arrays = self.arrays(stored.sha256)
        return arrays["image"], arrays.get("truth")

    def references(self, case: Case, precision: str) -> list[Pixels]:
        """Return the label map that ONNX Runtime gives for each picture, uint8 at the picture's size.

        precision is that of an engine: INT8 ones are held against the INT8 file, the others against the FP32 file.
        """
        arrays = self.arrays(case.references["int8" if precision == "int8" else "fp32"])
        return [arrays[str(index)] for index in range(len(case.pictures))]

    def ready(self, stored: StoredGraph) -> ReadyGraph:
        """Return the graph with its bytes put together again. Raises ArtifactError for a part that is not whole."""
        skeleton, pieces, start = self.get(stored.skeleton), [], 0
        for offset, constant in stored.constants:
            pieces += [skeleton[start:offset], self.get(constant)]
            start = offset
        graph = b"".join([*pieces, skeleton[start:]])
        if hashlib.sha256(graph).hexdigest() != stored.sha256:
            raise ArtifactError(f"the parts of a graph do not fit in {self.index}", hint=HOW_TO_MAKE)
        return ReadyGraph(
            graph=graph,
            precision=stored.precision,
            typed=stored.typed,
            builder_flags=stored.builder_flags,
            account=stored.account,
            source_sha256=stored.source_sha256,
            sha256=stored.sha256,
        )

    def parent(self, stored: StoredGraph) -> Manifest:
        """Return the manifest of the file that the graph was made from."""
        return Manifest.from_json(stored.parent)


def _files_of(case: Case) -> set[str]:
    graphs = {digest for graph in case.graphs for digest in (graph.skeleton, *(file for _, file in graph.constants))}
    return {case.weights, *case.references.values(), *(picture.sha256 for picture in case.pictures), *graphs}


def _case(values: Mapping[str, Any]) -> Case:
    case = Case(
        **{
            **values,
            "pictures": tuple(StoredPicture(**picture) for picture in values["pictures"]),
            "graphs": tuple(_graph(graph) for graph in values["graphs"]),
        }
    )
    Manifest.from_json(case.checkpoint)
    Resolution.parse(case.resolution)
    return case


def _graph(values: Mapping[str, Any]) -> StoredGraph:
    constants = tuple((int(offset), str(file)) for offset, file in values["constants"])
    return StoredGraph(**{**values, "builder_flags": tuple(values["builder_flags"]), "constants": constants})
