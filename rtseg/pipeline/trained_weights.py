"""Checkpoints in a folder, found by what they are weights of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Callable

import rtseg
from rtseg.artifacts.artifact import Artifact
from rtseg.artifacts.details import TrainingDetails
from rtseg.artifacts.files import PathLike
from rtseg.artifacts.manifest import Manifest, read_sidecar
from rtseg.errors import DatasetError, ManifestError
from rtseg.observer import Observer
from rtseg.specs import ClassSpec

SHIPPED = Path(rtseg.__file__).resolve().parents[1] / "export" / "checkpoints"
"""The checkpoints in rtseg's repository; an installed wheel has none."""


class TrainedWeights:
    """The checkpoints of a folder, those that ship with rtseg unless another is named."""

    def __init__(self, folder: PathLike | None, observer: Observer) -> None:
        """Read the manifests. Raises DatasetError for a folder that is none; a manifest that is none is passed over."""
        self._observer, self._said = observer, set[str]()
        place = SHIPPED if folder is None else Path(folder)
        if folder is not None and not place.is_dir():
            raise DatasetError(f"no folder {place}", expected="a folder of checkpoints")
        self._manifests: dict[Path, Manifest] = {}
        for path in sorted(place.glob("*.safetensors")):
            try:
                self._manifests[path] = read_sidecar(path, kind="checkpoint")
            except ManifestError as error:
                observer.warning(f"{path} is passed over: {error}")

    def of(self, network: str, options: Mapping[str, str], classes: ClassSpec) -> Path | None:
        """Return the checkpoint of that network with those options and classes, None where there is none.

        Of several it is the one with the highest mIoU on its validation split. One that is damaged is passed over.
        """
        fitting = {
            path: manifest
            for path, manifest in self._manifests.items()
            if manifest.network == network
            and dict(manifest.options) == dict(options)
            and (manifest.output.classes.dataset, manifest.output.classes.names) == (classes.dataset, classes.names)
        }
        for path in sorted(fitting, key=lambda path: _validated(fitting[path]), reverse=True):
            try:
                return Artifact.open(path, kind="checkpoint").path
            except ManifestError as error:
                self._say(self._observer.warning, f"{path} is passed over: {error}")
        self._say(self._observer.note, f"{network}: no weights with the classes of {classes.dataset or 'the list'}")
        return None

    def key(self) -> list[tuple[str, str]]:
        """Return what decides which weights are found, as plain values: the digests of all that are there."""
        return [(path.name, manifest.sha256) for path, manifest in self._manifests.items()]

    def _say(self, how: Callable[[str], None], text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            how(text)


def _validated(manifest: Manifest) -> float:
    return manifest.details.validation_miou if isinstance(manifest.details, TrainingDetails) else 0.0
