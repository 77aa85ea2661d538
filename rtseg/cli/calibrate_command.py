"""`rtseg calibrate`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, table_console, watched
from rtseg.cli.options import ANY_PATH, DATASETS, file_argument, json_option, threads_option
from rtseg.pipeline.calibration_stage import DEFAULT_IMAGES, DEFAULT_PERCENTILE, DEFAULT_SPLIT


@click.command()
@file_argument("artifact", metavar="ONNX")
@click.option("--data", required=True, metavar="DATASET", help=f"{DATASETS}; or images:DIR, without labels.")
@click.option("--split", metavar="NAME", help=f"Split of the dataset.  [default: {DEFAULT_SPLIT}]")
@click.option(
    "--images",
    type=click.IntRange(1),
    metavar="N",
    help=f"Number of pictures, spread evenly.  [default: {DEFAULT_IMAGES}]",
)
@click.option(
    "--method",
    type=click.Choice(("percentile", "minmax", "entropy", "mse")),
    default="percentile",
    help="How the range of an activation is chosen.  [default: percentile]",
)
@click.option(
    "--percentile",
    type=float,
    metavar="PERCENT",
    help=f"Share of values that --method percentile does not clip.  [default: {DEFAULT_PERCENTILE}]",
)
@click.option("--set", "set_path", type=ANY_PATH, metavar="FILE", help="Use exactly the pictures of this image set.")
@click.option("--save-set", type=ANY_PATH, metavar="FILE", help="Write the pictures used, as an image set.")
@click.option("-o", "output", type=ANY_PATH, metavar="FILE", required=True, help="Table to write, as JSON.")
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

    rtseg quantize needs the table of these ranges for INT8. Memory does not grow with the number of pictures. To resume
    an interrupted run, start it again. Another --method on the same pictures needs no second pass.

    \b
    Examples:
      rtseg export affnet --classes streets --resolution 64x96 -o affnet.onnx
      rtseg calibrate affnet.onnx --data streets:64x96 --images 16 -o table.json
      rtseg calibrate affnet.onnx --data streets:64x96 --images 16 \\
        --method minmax -o minmax.json
    """
    if set_path is not None and (split is not None or images is not None):
        raise click.UsageError("--set selects the pictures: leave out --split and --images")
    if percentile is not None and method != "percentile":
        raise click.UsageError(f"--percentile does not apply to --method {method}")

    import rtseg
    from rtseg.cli.show.calibration_text import print_calibration
    from rtseg.pipeline.listing import has_labels

    if split is not None and not has_labels(data):
        raise click.UsageError("a folder of images has no splits: leave out --split")
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
