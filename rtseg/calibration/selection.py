"""Which pictures to calibrate with: some of a source, evenly spread, or exactly those of an image set."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rtseg.calibration.image_set import ImageSet, picture_sha256
from rtseg.calibration.table import PictureDigest
from rtseg.datasets.pictures import Picture, PictureSource
from rtseg.errors import CalibrationError, ImageError
from rtseg.frame.window import window_of
from rtseg.observer import SILENT, Observer
from rtseg.specs import ImageSpec

TASK = "reading the pictures"

LARGEST_ENLARGEMENT = 2
"""A picture enlarged more than this is blurred: it lacks the detail that causes large activations."""


@dataclass(frozen=True)
class Chosen:
    """One picture to calibrate with: its index in its source, and its digest."""

    index: int
    digest: PictureDigest


@dataclass(frozen=True)
class Selection:
    """The pictures to calibrate with, in the order of their digests, and where they come from.

    data names the dataset without its folder (rtseg.datasets.registry.source_name); split is "" for pictures without
    splits.
    """

    source: PictureSource
    data: str
    split: str
    chosen: tuple[Chosen, ...]

    @property
    def digests(self) -> tuple[PictureDigest, ...]:
        """Name and digest of each picture, in that order."""
        return tuple(chosen.digest for chosen in self.chosen)

    def image_set(self) -> ImageSet:
        """Return the image set that selects the same pictures again."""
        return ImageSet(self.data, self.split, {digest.name: digest.sha256 for digest in self.digests})


def evenly_spread(count: int, total: int) -> list[int]:
    """Return that many of the indices below total, evenly spread, or all of them if there are fewer."""
    count = min(count, total)
    return [index * total // count for index in range(count)]


def select(
    source: PictureSource,
    data: str,
    split: str,
    image: ImageSpec,
    *,
    count: int,
    observer: Observer = SILENT,
) -> Selection:
    """Return `count` pictures evenly spread over the source, or all if it has fewer; each is read once.

    Raises CalibrationError if the source is empty, if a picture is far smaller than the network's input, or if every
    picture is of one colour. Also raises the exceptions of reading pictures.
    """
    # An unreadable picture is not skipped: with fewer pictures the table would differ, and nobody would know.
    indices = evenly_spread(count, len(source))
    chosen, shown = [], False
    for done, index in enumerate(indices, 1):
        picture = source[index]
        _require_large_enough(picture, image)
        shown = shown or _shows_something(picture)
        chosen.append(Chosen(index, PictureDigest(picture.name, picture_sha256(picture.image))))
        observer.progress(TASK, done, len(indices))
    _require_shown(shown, len(chosen))
    return _ordered(source, data, split, chosen)


def select_named(
    source: PictureSource,
    data: str,
    image_set: ImageSet,
    image: ImageSpec,
    *,
    observer: Observer = SILENT,
) -> Selection:
    """Return exactly the pictures that the image set names.

    It tries the positions that select would choose first, then all others, and skips pictures that cannot be read.
    Raises ImageError for the first of those if a named picture is missing at the end. Raises CalibrationError for a set
    of another dataset, for a named picture that the source lacks or that has other pixels, and in the cases in which
    select does.
    """
    if image_set.data != data:
        raise CalibrationError("the image set is of another dataset", got=data, expected=image_set.data)
    wanted = dict(image_set.pictures)
    first = evenly_spread(len(wanted), len(source))
    chosen, shown = [], False
    unreadable: ImageError | None = None
    for index in _each_once([*first, *range(len(source))]):
        if not wanted:
            break
        try:
            picture = source[index]
        except ImageError as error:
            unreadable = unreadable or error
            continue
        expected = wanted.pop(picture.name, None)
        if expected is None:
            continue
        _require_large_enough(picture, image)
        digest = picture_sha256(picture.image)
        if digest != expected:
            raise CalibrationError(
                f"the picture {picture.name} is not the one that the image set names",
                got=f"sha256 {digest[:12]} of its pixels",
                expected=expected[:12],
            )
        shown = shown or _shows_something(picture)
        chosen.append(Chosen(index, PictureDigest(picture.name, digest)))
        observer.progress(TASK, len(chosen), len(image_set.pictures))
    if wanted and unreadable is not None:
        raise unreadable
    if wanted:
        raise CalibrationError(
            f"{len(wanted)} of the {len(image_set.pictures)} pictures of the image set are missing",
            got=f"no {next(iter(wanted))}",
            expected=f"the pictures of {' '.join(filter(None, (image_set.data, image_set.split)))}",
        )
    _require_shown(shown, len(chosen))
    return _ordered(source, image_set.data, image_set.split, chosen)


def _ordered(source: PictureSource, data: str, split: str, chosen: Iterable[Chosen]) -> Selection:
    by_digest = sorted(chosen, key=lambda one: (one.digest.sha256, one.digest.name))
    return Selection(source, data, split, tuple(by_digest))


def _each_once(indices: Iterable[int]) -> Iterable[int]:
    return dict.fromkeys(indices)


def _require_large_enough(picture: Picture, image: ImageSpec) -> None:
    height, width = picture.image.shape[:2]
    covered = window_of(image, height, width) or image  # a letterboxed picture is not enlarged to the whole input
    if covered.height > LARGEST_ENLARGEMENT * height or covered.width > LARGEST_ENLARGEMENT * width:
        directions = "both directions" if image.fit == "stretch" else "one direction"
        raise CalibrationError(
            f"the picture {picture.name} is much smaller than the network's input",
            got=f"{height}x{width}",
            expected=f"at least 1/{LARGEST_ENLARGEMENT} of {image.resolution} in {directions}",
            hint="use larger pictures, or export the network at the pictures' own size",
        )


def _shows_something(picture: Picture) -> bool:
    return bool((picture.image != picture.image[0, 0]).any())


def _require_shown(shown: bool, count: int) -> None:
    if count == 0:
        raise CalibrationError("there are no pictures to calibrate with")
    if not shown:
        raise CalibrationError(
            f"none of the {count} pictures shows anything",
            got="one colour each",
            expected="pictures as the network will see them",
        )
