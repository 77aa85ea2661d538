"""`rtseg calibrate`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import click

from rtseg.cli.console import counted, print_json, say, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option, threads_option

if TYPE_CHECKING:
    from rtseg.artifacts import Manifest
    from rtseg.calibration.calibrate import CalibrationObserver
    from rtseg.calibration.selection import Selection

DEFAULT_SPLIT, DEFAULT_IMAGES, DEFAULT_PERCENTILE = "train", 64, 99.99


@click.command()
@file_argument("artifact", metavar="ONNX")
@click.option("--data", required=True, help="camvid:PATH, cityscapes:PATH, voc:PATH, streets or images:PATH.")
@click.option("--split", help=f"Split of the dataset.  [{DEFAULT_SPLIT}]")
@click.option("--images", type=click.IntRange(1), help=f"Pictures, evenly spread.  [{DEFAULT_IMAGES}]")
@click.option(
    "--method",
    type=click.Choice(("percentile", "minmax", "entropy", "mse")),
    default="percentile",
    show_default=True,
    help="How a threshold is chosen.",
)
@click.option("--percentile", "percent", type=float, help=f"Values that are not clipped.  [{DEFAULT_PERCENTILE}]")
@click.option("--set", "set_path", type=ANY_PATH, help="Exactly the pictures that this image set names.")
@click.option("--save-set", type=ANY_PATH, help="Write the image set of the pictures taken.")
@click.option("-o", "--output", type=ANY_PATH, required=True, help="The table, JSON.")
@threads_option
@json_option
def calibrate(
    artifact: Path,
    data: str,
    split: str | None,
    images: int | None,
    method: str,
    percent: float | None,
    set_path: Path | None,
    save_set: Path | None,
    output: Path,
    threads: int,
    as_json: bool,
) -> None:
    """Measure the range of every activation on some pictures.

    The table is what `rtseg quantize` makes an INT8 file with. Memory does not grow with the number of
    pictures. An interrupted run goes on when it is started again; another --method on the same
    pictures takes no second pass.

    Example: rtseg calibrate affnet.onnx --data camvid:CamVid --images 100 -o affnet.table.json
    """
    if set_path is not None and (split is not None or images is not None):
        raise click.UsageError("--set says which pictures, so --split and --images cannot")
    if percent is not None and method != "percentile":
        raise click.UsageError(f"--percentile is no part of --method {method}")

    from rtseg.artifacts import require_writable
    from rtseg.calibration.calibrate import calibrate as measured
    from rtseg.calibration.calibrate import calibration_manifest, require_no_input
    from rtseg.calibration.thresholds import Method
    from rtseg.datasets.registry import is_labelled
    from rtseg.report.calibration import calibration_facts, calibration_text, settling_warning

    if split is not None and not is_labelled(data):
        raise click.UsageError("a folder of images has no splits, so --split says nothing")
    if method == "percentile" and percent is None:
        percent = DEFAULT_PERCENTILE
    chosen_method = Method(method, percent)
    started = time.monotonic()
    manifest = calibration_manifest(artifact)
    require_no_input(output, artifact, set_path)
    require_writable(output)
    if save_set is not None:
        require_no_input(save_set, artifact, set_path, output)
        require_writable(save_set)
    selection = _selection(manifest, data, split or DEFAULT_SPLIT, images or DEFAULT_IMAGES, set_path)
    with counted("calibrating") as progress:
        table = measured(artifact, selection, chosen_method, threads=threads, observer=_observer(progress))
    table.write(output)
    if save_set is not None:
        selection.image_set().write(save_set)
    facts = {"table": str(output), **calibration_facts(table), "seconds": time.monotonic() - started}
    exhausted = set_path is not None or len(selection.chosen) < (images or DEFAULT_IMAGES)
    if warning := settling_warning(facts, exhausted=exhausted):
        say(warning)
    if as_json:
        print_json(facts)
    else:
        calibration_text(facts, table_console())
        say(f"wrote {output}")


def _selection(manifest: Manifest, data: str, split: str, images: int, set_path: Path | None) -> Selection:
    from rtseg.calibration.image_set import ImageSet
    from rtseg.calibration.selection import select, select_named
    from rtseg.datasets.registry import is_labelled, open_pictures, source_name

    image_set = None if set_path is None else ImageSet.read(set_path)
    source = open_pictures(data, split if image_set is None else image_set.split)
    with counted("reading the pictures") as progress:
        if image_set is not None:
            return select_named(source, source_name(data), image_set, manifest.image, progress=progress)
        label = split if is_labelled(data) else ""
        selection = select(source, source_name(data), label, manifest.image, count=images, progress=progress)
    if len(selection.chosen) < images:
        say(f"there are only {len(selection.chosen)} pictures, not {images}: all of them are taken")
    return selection


def _observer(progress: Callable[[int, int], None]) -> CalibrationObserver:
    from rtseg.calibration.calibrate import CalibrationObserver
    from rtseg.errors import WriteError

    class Shown(CalibrationObserver):
        """Draws the bar, and says in a line what is out of the ordinary."""

        def progress(self, done: int, total: int) -> None:
            progress(done, total)

        def resumed(self, done: int, total: int) -> None:
            if done == total:
                say(f"all {total} pictures were counted by an earlier run: nothing is computed again")
            else:
                say(f"going on after {done} of {total} pictures, counted by an earlier run")

        def interrupted(self, done: int, total: int) -> None:
            say(f"{done} of {total} pictures are counted; the same command goes on from there")

        def not_kept(self, error: WriteError) -> None:
            say(f"warning: a run that is killed will begin anew: {error}")

    return Shown()
