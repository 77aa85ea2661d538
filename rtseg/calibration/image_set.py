"""An image set: the pictures of a dataset that were used to calibrate, by name and digest of their pixels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtseg.artifacts.files import PathLike, read_utf8, write_text_atomically
from rtseg.errors import CalibrationError

FORMAT = "rtseg-image-set/1"


@dataclass(frozen=True)
class ImageSet:
    """SHA-256 digests of the pixels of some pictures, by name. data names the dataset without its folder."""

    data: str
    split: str
    pictures: Mapping[str, str]

    def write(self, path: PathLike) -> None:
        """Write the set as JSON, completely or not at all. Raises WriteError."""
        facts = {"format": FORMAT, "data": self.data, "split": self.split, "pictures": dict(self.pictures)}
        write_text_atomically(path, json.dumps(facts, indent=1) + "\n")

    @classmethod
    def read(cls, path: PathLike) -> ImageSet:
        """Return the set in a file. Raises CalibrationError if it is not an image set or names no picture."""
        try:
            facts = json.loads(read_utf8(path))
        except OSError as error:
            raise CalibrationError(
                f"cannot read {path}: {error.strerror}", hint="write one with rtseg calibrate --save-set"
            ) from error
        except (ValueError, RecursionError) as error:
            raise CalibrationError(f"{path} is not an image set ({error})") from error
        if not isinstance(facts, dict) or facts.get("format") != FORMAT:
            raise CalibrationError(f"{path} is not an image set", expected=f"a JSON object of format {FORMAT}")
        data, split, pictures = (facts.get(name) for name in ("data", "split", "pictures"))
        if not isinstance(data, str) or not isinstance(split, str) or not isinstance(pictures, dict):
            raise CalibrationError(f"{path} is a damaged image set", expected="data, split and pictures")
        if not pictures:
            raise CalibrationError(f"the image set {path} is empty")
        if not all(isinstance(digest, str) for digest in pictures.values()):
            raise CalibrationError(f"{path} is a damaged image set", expected="a digest for each picture")
        return cls(data, split, pictures)


def picture_sha256(image: NDArray[np.uint8]) -> str:
    """Return the hexadecimal SHA-256 of a picture (height, width, 3): its sides as uint32, then its RGB bytes."""
    digest = hashlib.sha256(np.array(image.shape[:2], "<u4").tobytes())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
