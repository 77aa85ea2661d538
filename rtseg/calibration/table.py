"""The calibration table: a range for every tensor of one graph, and the inputs it was made from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Optional

from rtseg.artifacts.details import Digest
from rtseg.artifacts.files import PathLike, read_utf8, write_text_atomically
from rtseg.artifacts.manifest import Manifest
from rtseg.errors import CalibrationError, SpecError
from rtseg.specs import ImageSpec
from rtseg.specs.versioned_json import require_field_types

FORMAT = "rtseg-calibration/1"
Percentile = Optional[float]
"""In per cent; None for a method without one."""
METHODS = ("minmax", "percentile", "entropy", "mse")


@dataclass(frozen=True)
class TensorRange:
    """The range of one tensor: its minimum and maximum, and the magnitude that INT8's largest step represents."""

    threshold: float
    minimum: float
    maximum: float


@dataclass(frozen=True)
class PictureDigest:
    """A picture by its name and the SHA-256 of its pixels: height, width and RGB bytes, not the file's bytes."""

    name: str
    sha256: str


@dataclass(frozen=True)
class CalibrationTable:
    """Ranges by tensor name, for the graph with that digest, measured on those pictures prepared by that contract.

    onnx_sha256 is the file's digest. structure_sha256 and parent_sha256 (the checkpoint's digest) let the table serve
    another export of the same checkpoint, whose file may differ by a version in its header. percentile is None for
    methods without one. convergence describes how the ranges changed as pictures were added.
    """

    network: str
    onnx_sha256: str
    structure_sha256: str
    parent_sha256: Digest
    image: ImageSpec
    method: str
    percentile: Percentile
    data: str
    split: str
    pictures: tuple[PictureDigest, ...]
    ranges: Mapping[str, TensorRange]
    convergence: Mapping[str, Any]
    tools: Mapping[str, str]

    def require_graph(self, manifest: Manifest, structure_sha256: str, label: str) -> None:
        """Raise CalibrationError, with the command that makes the right table, unless the table is for that graph."""
        same_export = manifest.sha256 == self.onnx_sha256
        same_checkpoint = manifest.parent_sha256 is not None and manifest.parent_sha256 == self.parent_sha256
        if not same_export and not (same_checkpoint and structure_sha256 == self.structure_sha256):
            raise CalibrationError(
                f"the calibration table is of another graph than {label}",
                got=f"{self.network} {self.image.resolution}, sha256 {self.onnx_sha256[:12]}",
                expected=f"{manifest.network} {manifest.image.resolution}, sha256 {manifest.sha256[:12]}",
                hint=f"run rtseg calibrate {label} --data DATASET -o TABLE.json",
            )
        if self.image != manifest.image:
            raise CalibrationError(
                f"the calibration table was made from pictures prepared in another way than {label} needs",
                got=f"{self.image}",
                expected=f"{manifest.image}",
                hint=f"run rtseg calibrate {label} --data DATASET -o TABLE.json",
            )

    def greatest_magnitudes(self) -> dict[str, float]:
        """Return the greatest magnitude of each tensor."""
        return {name: max(-found.minimum, found.maximum) for name, found in self.ranges.items()}

    def write(self, path: PathLike) -> None:
        """Write the table as JSON, completely or not at all. Raises WriteError."""
        facts = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        facts["image"] = self.image.to_json()
        facts["pictures"] = {picture.name: picture.sha256 for picture in self.pictures}
        facts["ranges"] = {name: [r.threshold, r.minimum, r.maximum] for name, r in self.ranges.items()}
        write_text_atomically(path, _aligned({"format": FORMAT, **facts}))

    @classmethod
    def read(cls, path: PathLike) -> CalibrationTable:
        """Return the table in a file. Raises CalibrationError if the file is not a table."""
        try:
            data = json.loads(read_utf8(path))
        except OSError as error:
            raise CalibrationError(f"cannot read {path}: {error.strerror}", hint="run rtseg calibrate") from error
        except (ValueError, RecursionError) as error:
            raise CalibrationError(f"{path} is not a calibration table ({error})") from error
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise CalibrationError(f"{path} is not a calibration table", expected=f"a JSON object of format {FORMAT}")
        try:
            return cls._from_json(data)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, SpecError) as error:
            raise CalibrationError(f"{path} is a damaged calibration table ({error})") from error

    @classmethod
    def _from_json(cls, data: dict[str, Any]) -> CalibrationTable:
        values = dict(data)
        values["image"] = ImageSpec.from_json(values["image"])
        values["pictures"] = tuple(PictureDigest(str(n), str(digest)) for n, digest in values["pictures"].items())
        values["ranges"] = {name: TensorRange(*map(float, numbers)) for name, numbers in values["ranges"].items()}
        for name, given in values["ranges"].items():
            if not (0 < given.threshold < math.inf and -math.inf < given.minimum <= given.maximum < math.inf):
                raise ValueError(f"the range of {name}: {given}")
        if set(values) != {entry.name for entry in fields(cls)}:
            raise ValueError("its fields are not those of a table")
        if values["method"] not in METHODS:
            raise ValueError(f"method {values['method']!r}")
        require_field_types(cls, {**values, "pictures": values["pictures"]})
        return cls(**values)


def _aligned(facts: Mapping[str, Any]) -> str:
    """Return JSON with one line for each field, and one line for each entry of a field with many."""
    lines = []
    for name, value in facts.items():
        if isinstance(value, Mapping) and value:
            inner = ",\n".join(f"  {json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items())
            lines.append(f"{json.dumps(name)}: {{\n{inner}\n}}")
        else:
            lines.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def ranges_sha256(table: CalibrationTable) -> str:
    """Return the digest of the part of a table that a quantized file depends on: its ranges and which pictures."""
    ranges = {name: [r.threshold, r.minimum, r.maximum] for name, r in sorted(table.ranges.items())}
    facts = [ranges, table.data, table.split, [picture.sha256 for picture in table.pictures]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
