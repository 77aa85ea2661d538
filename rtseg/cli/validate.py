"""`rtseg validate`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import counted, print_json, table_console
from rtseg.cli.options import file_argument, json_option, threads_option


@click.command()
@file_argument("artifact")
@click.option("--data", required=True, help="camvid:PATH, cityscapes:PATH, voc:PATH or streets.")
@click.option("--split", default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures.")
@threads_option
@json_option
def validate(artifact: Path, data: str, split: str, limit: int | None, threads: int, as_json: bool) -> None:
    """Measure mIoU, class IoUs and pixel accuracy of an artifact.

    All pictures count in one confusion matrix, at the labels' own resolution; void does not count.

    Example: rtseg validate affnet.onnx --data camvid:CamVid --split val
    """
    from rtseg.accuracy.validation import validate as validate_segmenter
    from rtseg.datasets.registry import open_dataset
    from rtseg.report.accuracy import accuracy_text
    from rtseg.segmenter import load

    dataset = open_dataset(data, split)
    with load(artifact, threads=threads) as segmenter, counted("validating") as progress:
        result = validate_segmenter(segmenter, dataset, limit=limit, progress=progress)
    pictures = len(dataset) if limit is None else min(limit, len(dataset))
    facts = {
        "artifact": str(artifact),
        "data": data.partition(":")[0],
        "split": split,
        "pictures": pictures,
        "device": segmenter.runner.device,
        **result.to_json(),
    }
    if as_json:
        print_json(facts)
    else:
        accuracy_text(facts, table_console())
