"""CamVid in the layout of the SegNet tutorial: 11 classes and void, 360x480.

    PATH/train/NAME.png, PATH/trainannot/NAME.png, and the same for val and test

The label files hold 0 to 10 for the classes and 11 for void.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from rtseg.datasets.camvid_classes import CAMVID_CLASSES
from rtseg.datasets.label_files import read_labelled_picture, read_labels
from rtseg.datasets.labelled import LabelledDataset, LabelledImage, checked
from rtseg.errors import DatasetError
from rtseg.images.files import PictureReader, write_image
from rtseg.images.folders import listed
from rtseg.observer import SILENT, Observer

VOID_IN_FILES = 11


class CamVid:
    """The pictures of one split, sorted by name, without hidden files; void becomes the ignore index.

    A picture is named by its file without the suffix, or with the suffix if two would share a name (a.png and a.PNG).
    """

    SPLITS = ("train", "val", "test")
    classes = CAMVID_CLASSES

    def __init__(self, root: Path, split: str, observer: Observer = SILENT) -> None:
        images = _pictures_in(root / split)
        if not images:
            raise DatasetError(
                f"no CamVid pictures in {root / split}",
                expected=f"{split}/*.png and {split}annot/*.png (the SegNet tutorial's layout)",
                hint="pass camvid:PATH with the folder that holds train/ and trainannot/",
            )
        self._pairs = [(image, root / f"{split}annot" / image.name) for image in images]
        missing = [labels for _, labels in self._pairs if not os.path.isfile(labels)]
        if missing:
            raise DatasetError(
                f"{len(missing)} label files are missing",
                got=f"no {missing[0]}",
                hint=f"pass images:{root / split} if pictures without labels are enough",
            )
        stems = Counter(image.stem for image, _ in self._pairs)
        self._names = [image.stem if stems[image.stem] == 1 else image.name for image, _ in self._pairs]
        self._read = PictureReader(observer.warning)

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> LabelledImage:
        """Return one picture. Raises DatasetError or ImageError for a file that does not fit the layout."""
        image_path, labels_path = self._pairs[index]
        labels = read_labels(labels_path, self.classes, void=VOID_IN_FILES)
        labels = np.where(labels == VOID_IN_FILES, np.uint8(self.classes.ignore_index), labels)
        image = read_labelled_picture(image_path, self._read)
        return checked(LabelledImage(self._names[index], image, labels), self.classes)


def _pictures_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder, none if the folder does not exist. Raises DatasetError."""
    try:
        return listed(folder, (".png",))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DatasetError(f"cannot read {folder}: {error.strerror}") from error


def write_camvid_layout(
    dataset: LabelledDataset,
    root: Path,
    split: str,
    *,
    count: int,
    observer: Observer = SILENT,
) -> None:
    """Write the first pictures of a dataset with CamVid's classes in the layout that CamVid(root, split) reads.

    Raises DatasetError for other classes, and WriteError.
    """
    if dataset.classes.names != CAMVID_CLASSES.names:
        raise DatasetError("CamVid's layout holds CamVid's classes only", got=dataset.classes.dataset)
    for index in range(count):
        item = dataset[index]
        void = item.labels == dataset.classes.ignore_index
        write_image(root / split / f"{item.name}.png", item.image)
        write_image(root / f"{split}annot" / f"{item.name}.png", np.where(void, np.uint8(VOID_IN_FILES), item.labels))
        observer.progress("rendering", index + 1, count)
