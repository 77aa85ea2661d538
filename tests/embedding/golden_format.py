"""The golden vectors as files: pictures in memory as programs hold them, and cases as lines of text.

engines/cpp/tests/golden/README.md describes the format for other languages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from rtseg.specs import ClassSpec, ImageSpec, OutputSpec

Bytes = NDArray[np.uint8]

GOLDEN = Path(__file__).resolve().parents[2] / "engines" / "cpp" / "tests" / "golden"
INDEX = "cases.txt"
FIRST_LINE = "rtseg-golden-vectors 1"
PACKS = {key: f"{key}.bin" for key in ("image", "input", "result", "output", "labels")}
"""Where the bytes lie that a case means by these keys."""

ALIGNMENT = 16
GAP = 165
"""What stands between the rows of a label map, before and after."""

CHANNELS = {"RGB": (0, 1, 2), "BGR": (2, 1, 0), "RGBA": (0, 1, 2), "BGRA": (2, 1, 0), "GREY": (0, 0, 0)}
"""By format, which byte of a pixel is red, green and blue."""

PIXEL_BYTES = {"RGB": 3, "BGR": 3, "RGBA": 4, "BGRA": 4, "GREY": 1}


def drawn_bytes(count: int, seed: int) -> Bytes:
    """Return random bytes that depend on the seed alone, not on a version of NumPy: the same as core_digest.c draws."""
    drawn, state = bytearray(), seed
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        drawn.append(state >> 16 & 255)
    return np.frombuffer(bytes(drawn), np.uint8)


@dataclass(frozen=True)
class Picture:
    """An image in memory: its top row lies `offset` bytes into the buffer, the next `row_bytes` further on."""

    format: str
    height: int
    width: int
    offset: int
    row_bytes: int
    buffer: bytes

    @property
    def rgb(self) -> Bytes:
        """The picture as uint8 (height, width, 3), red first."""
        pixel = PIXEL_BYTES[self.format]
        first = np.frombuffer(self.buffer, np.uint8)[self.offset :]
        pixels = as_strided(first, (self.height, self.width, pixel), (self.row_bytes, pixel, 1), writeable=False)
        return pixels[..., list(CHANNELS[self.format])].copy(order="C")

    @property
    def fields(self) -> dict[str, object]:
        """What a case says of the picture, beside where its buffer lies."""
        return {
            "format": self.format,
            "image_height": self.height,
            "image_width": self.width,
            "image_offset": self.offset,
            "image_row_bytes": self.row_bytes,
        }


def image_fields(spec: ImageSpec) -> dict[str, object]:
    """Return the image contract as a case states it."""
    return {
        "input_height": spec.height,
        "input_width": spec.width,
        "colour_order": spec.colour_order,
        "scale": repr(spec.scale),
        "mean": " ".join(map(repr, spec.mean)),
        "std": " ".join(map(repr, spec.std)),
        "fit": spec.fit,
        "padding": spec.padding,
    }


def output_fields(spec: OutputSpec) -> dict[str, object]:
    """Return the output contract as a case states it."""
    return {
        "interface": spec.interface,
        "classes": len(spec.classes),
        "stride": spec.stride,
        "align_corners": int(spec.align_corners),
        "threshold": "none" if spec.threshold is None else repr(spec.threshold),
    }


@dataclass(frozen=True)
class Case:
    """What stands in the index of one case."""

    name: str
    fields: dict[str, str]
    folder: Path

    def __getitem__(self, key: str) -> str:
        return self.fields[key]

    def number(self, key: str) -> int:
        return int(self.fields[key])

    def content(self, key: str) -> bytes:
        """Return the bytes that a case means by image, input, result, output or labels."""
        offset, length = map(int, self[key].split())
        with open(self.folder / PACKS[key], "rb") as pack:
            pack.seek(offset)
            content = pack.read(length)
        assert len(content) == length
        return content

    @property
    def picture(self) -> Picture:
        numbers = (self.number(f"image_{key}") for key in ("height", "width", "offset", "row_bytes"))
        return Picture(self["format"], *numbers, self.content("image"))

    @property
    def image_spec(self) -> ImageSpec:
        return ImageSpec(
            self.number("input_height"),
            self.number("input_width"),
            self["colour_order"],
            float(self["scale"]),
            tuple(map(float, self["mean"].split())),
            tuple(map(float, self["std"].split())),
            fit=self["fit"],
            padding=self.number("padding"),
        )

    @property
    def output_spec(self) -> OutputSpec:
        threshold = None if self["threshold"] == "none" else float(self["threshold"])
        interface, stride, aligned = self["interface"], self.number("stride"), bool(self.number("align_corners"))
        return OutputSpec(numbered_classes(self.number("classes")), interface, stride, aligned, threshold=threshold)


def numbered_classes(count: int) -> ClassSpec:
    """Return so many classes with names and colours that tell them apart."""
    palette = tuple((index * 37 % 256, index * 91 % 256, index) for index in range(count))
    return ClassSpec("numbered", tuple(f"class {index}" for index in range(count)), palette)


def read_cases(folder: Path = GOLDEN) -> Iterator[Case]:
    """Yield the cases of an index in its order."""
    first, *lines = (folder / INDEX).read_text(encoding="ascii").splitlines()
    assert first == FIRST_LINE
    fields: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(" ")
        if key == "end":
            yield Case(fields.pop("case"), fields, folder)
            fields = {}
        elif key:
            fields[key] = value


def written_in(folder: Path) -> set[str]:
    """Return the names of the files in the folder, but for what explains them and what git is told of them."""
    return {path.name for path in folder.iterdir() if path.suffix != ".md" and not path.name.startswith(".")}


@dataclass
class Writer:
    """Cases and their bytes, collected, then written at once."""

    files: dict[str, bytes] = field(default_factory=dict)
    lines: list[str] = field(default_factory=lambda: [FIRST_LINE])
    _packs: dict[str, bytearray] = field(default_factory=lambda: {key: bytearray() for key in PACKS})
    _places: dict[tuple[str, bytes], str] = field(default_factory=dict)

    def put(self, name: str, content: bytes) -> None:
        """Keep a file of its own."""
        assert name not in self.files, name
        self.files[name] = content

    def pack(self, key: str, content: bytes) -> str:
        """Keep bytes and return where they lie, as a case says it. Equal bytes lie there once.

        But for outputs, as two that are equal here can differ on another machine.
        """
        if key != "output" and (key, content) in self._places:
            return self._places[key, content]
        pack = self._packs[key]
        pack += bytes(-len(pack) % ALIGNMENT)
        place = f"{len(pack)} {len(content)}"
        pack += content
        self._places[key, content] = place
        return place

    def case(self, name: str, kind: str, **fields: object) -> None:
        assert f"case {name}" not in self.lines, name
        self.lines += ["", f"case {name}", f"kind {kind}", *(f"{key} {value}" for key, value in fields.items()), "end"]

    def write(self, folder: Path) -> None:
        """Write everything into the folder, from which what was written before goes."""
        index = ("\n".join(self.lines) + "\n").encode("ascii")
        files = {INDEX: index, **self.files, **{PACKS[key]: bytes(pack) for key, pack in self._packs.items()}}
        folder.mkdir(parents=True, exist_ok=True)
        for name in written_in(folder) - set(files):
            (folder / name).unlink()
        for name, content in files.items():
            (folder / name).write_bytes(content)


def little_endian(array: NDArray[np.generic]) -> bytes:
    """Return an array's elements in C order, least significant byte first."""
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def rows_with_gaps(labels: Bytes, row_bytes: int) -> bytes:
    """Return a label map as a program's memory holds it, GAP between its rows."""
    rows = np.full((labels.shape[0], row_bytes), GAP, np.uint8)
    rows[:, : labels.shape[1]] = labels
    return rows.tobytes()
