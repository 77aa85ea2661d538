"""Find checkpoints in a folder by network, options and classes."""

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
    """The checkpoints of a folder, by default those that ship with rtseg."""

    def __init__(self, folder: PathLike | None, observer: Observer) -> None:
        """Read the manifests; skip invalid ones. Raises DatasetError if the folder does not exist."""
        self._observer, self._said = observer, set[str]()
        place = SHIPPED if folder is None else Path(folder)
        if folder is not None and not place.is_dir():
            raise DatasetError(f"no folder {place}", expected="a folder of checkpoints")
        self._manifests: dict[Path, Manifest] = {}
        for path in sorted(place.glob("*.safetensors")):
            try:
                self._manifests[path] = read_sidecar(path, kind="checkpoint")
            except ManifestError as error:
                observer.warning(f"{path} is skipped: {error}")

    def of(self, network: str, options: Mapping[str, str], classes: ClassSpec) -> Path | None:
        """Return the checkpoint of that network with those options and classes, None if there is none.

        Of several, the one with the highest mIoU on its validation split is returned. Damaged ones are skipped.
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
                self._say(self._observer.warning, f"{path} is skipped: {error}")
        self._say(self._observer.note, f"{network}: no weights with the classes of {classes.dataset or 'the list'}")
        return None

    def key(self) -> list[tuple[str, str]]:
        """Return the digests of all checkpoints, as plain values; they decide which weights are found."""
        return [(path.name, manifest.sha256) for path, manifest in self._manifests.items()]

    def _say(self, how: Callable[[str], None], text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            how(text)


def _validated(manifest: Manifest) -> float:
    return manifest.details.validation_miou if isinstance(manifest.details, TrainingDetails) else 0.0
