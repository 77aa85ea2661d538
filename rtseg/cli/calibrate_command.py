"""`rtseg calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, table_console, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option, threads_option
from rtseg.pipeline.calibration_stage import DEFAULT_IMAGES, DEFAULT_PERCENTILE, DEFAULT_SPLIT


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
@click.option("--percentile", type=float, help=f"Values that are not clipped.  [{DEFAULT_PERCENTILE}]")
@click.option("--set", "set_path", type=ANY_PATH, help="Exactly the pictures that this image set names.")
@click.option("--save-set", type=ANY_PATH, help="Write the image set of the pictures taken.")
@click.option("-o", "output", type=ANY_PATH, required=True, help="The table, JSON.")
@threads_option
@json_option
def calibrate(
    artifact: Path,
    data: str,
    split: str | None,
    images: int | None,
    method: str,
    percentile: float | None,
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

    \b
    Example: rtseg calibrate affnet.onnx --data camvid:CamVid --images 100 -o affnet.table.json
    """
    if set_path is not None and (split is not None or images is not None):
        raise click.UsageError("--set says which pictures, so --split and --images cannot")
    if percentile is not None and method != "percentile":
        raise click.UsageError(f"--percentile is no part of --method {method}")

    import rtseg
    from rtseg.cli.show.calibration_text import print_calibration
    from rtseg.pipeline.listing import has_labels

    if split is not None and not has_labels(data):
        raise click.UsageError("a folder of images has no splits, so --split says nothing")
    with watched() as observer:
        result = rtseg.calibrate(
            artifact,
            data,
            output,
            split=split,
            images=images,
            method=method,
            percentile=percentile,
            image_set=set_path,
            save_set=save_set,
            threads=threads,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
    else:
        print_calibration(result.to_json(), table_console())
        say(f"wrote {output}")
