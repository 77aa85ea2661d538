"""`rtseg quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtseg.cli.console import counted, print_json, say
from rtseg.cli.options import ANY_PATH, file_argument, json_option, onnx_runner_option, threads_option

if TYPE_CHECKING:
    from rtseg.calibration.table import CalibrationTable
    from rtseg.quantize.census import Census
    from rtseg.quantize.files import Original
    from rtseg.sensitivity.selection import Selection


@click.command()
@file_argument("artifact", metavar="ONNX")
@click.option("--table", "table_path", type=ANY_PATH, help="Ranges from rtseg calibrate, which INT8 needs.")
@click.option("--to", "precision", type=click.Choice(("int8", "fp16")), required=True)
@click.option(
    "--target",
    type=click.Choice(("tensorrt", "onnxruntime", "openvino")),
    default="tensorrt",
    show_default=True,
    help="Whose kernels the INT8 is placed for.",
)
@click.option(
    "--exclude", "patterns", multiple=True, metavar="PATTERN", help="Operators or modules to leave alone: '*/fusion/*'."
)
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), metavar="POINTS", help="Keep out of INT8 what loses more mIoU."
)
@click.option("--data", help="With --max-drop: the labelled pictures the drop is measured on.")
@click.option("--split", default="val", show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures.")
@onnx_runner_option
@click.option("-o", "--output", type=ANY_PATH, help="The file.  [NAME.int8.onnx or NAME.fp16.onnx, beside ONNX]")
@threads_option
@json_option
def quantize(
    artifact: Path,
    table_path: Path | None,
    precision: str,
    target: str,
    patterns: tuple[str, ...],
    max_drop: float | None,
    data: str | None,
    split: str,
    limit: int | None,
    runner: str,
    output: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Write an exported file as INT8 or FP16, explicit in the graph.

    INT8 is QuantizeLinear and DequantizeLinear where the target's kernels want them, symmetric, weights by channel; the
    rest stays FP32 in the file and becomes FP16 in an engine. The command says what share of the work became INT8, and
    fails where nothing would.

    With --max-drop the drop of mIoU is measured against FP32. Where it is larger than that, each block of the network
    is measured alone, and a set of blocks is kept out of INT8 that holds the budget and costs as little work as can
    be. Nothing is written where none does.

    \b
    Example: rtseg quantize affnet.onnx --table affnet.json --to int8
    Example: rtseg quantize affnet.onnx --table affnet.json --to int8 --max-drop 0.5 --data camvid:CamVid
    Example: rtseg quantize affnet.onnx --to fp16 --exclude /network/fusion
    """
    from rtseg.artifacts import manifest_path, require_writable
    from rtseg.calibration.calibrate import require_no_input
    from rtseg.graphs.view import GraphView
    from rtseg.quantize.exclusion import matching_operators
    from rtseg.quantize.files import default_name, read_original, read_table, table_facts, write_derived
    from rtseg.report.quantization import quantization_text

    if precision == "int8" and table_path is None:
        raise click.UsageError("INT8 needs --table, which rtseg calibrate writes")
    if (max_drop is None) != (data is None):
        raise click.UsageError("--max-drop and --data go together")
    if max_drop is None and limit is not None:
        raise click.UsageError("--limit is of the pictures that --max-drop is measured on")
    if max_drop is not None and precision != "int8":
        raise click.UsageError("--max-drop chooses what stays out of INT8; rtseg validate --max-drop checks FP16")
    original = read_original(artifact)
    table = None if table_path is None else read_table(table_path, original)
    excluded = matching_operators(GraphView(original.model), patterns)
    path = output or default_name(original, precision, target)
    for written in (path, manifest_path(path)):
        require_no_input(written, table_path)
    require_writable(path)
    facts: dict[str, Any] = {
        "network": original.manifest.network,
        "resolution": str(original.manifest.image.resolution),
        "precision": precision,
        "target": target,
        "table": None if table is None or table_path is None else table_facts(table_path, table),
        "excluded": sorted(excluded),
        "budget": None,
    }
    if precision == "fp16":
        model, census = _half(original, table, excluded, facts)
    else:
        assert table is not None
        if max_drop is not None and data is not None:
            chosen = _selected(original, table, target, excluded, max_drop, data, split, limit, runner, threads)
            facts["budget"] = {
                "max_drop_points": max_drop,
                "data": data.partition(":")[0],
                "split": split,
                "runner": runner,
                **chosen.to_json(),
            }
            excluded |= chosen.operators
        model, census = _int8(original, table, target, excluded)
    facts["census"] = census.to_json()
    manifest = write_derived(original, model, path, precision=precision, details=facts)
    if as_json:
        print_json({"path": str(path), "manifest": manifest.to_json()})
    else:
        say(quantization_text(facts))
        click.echo(path)


def _int8(original: Original, table: CalibrationTable, target: str, excluded: frozenset[str]) -> tuple[Any, Census]:
    from rtseg.quantize.files import int8_graph

    return int8_graph(original, table, target=target, excluded=excluded)


def _half(
    original: Original, table: CalibrationTable | None, excluded: frozenset[str], facts: dict[str, Any]
) -> tuple[Any, Census]:
    from rtseg.quantize.census import census_of
    from rtseg.quantize.half import to_half

    ranges = None if table is None else {name: max(-r.minimum, r.maximum) for name, r in table.ranges.items()}
    half = to_half(original.model, keep=excluded, ranges=ranges)
    facts["notes"] = [half.account()]
    return half.model, census_of(half.model)


def _selected(
    original: Original,
    table: CalibrationTable,
    target: str,
    excluded: frozenset[str],
    max_drop: float,
    data: str,
    split: str,
    limit: int | None,
    runner: str,
    threads: int,
) -> Selection:
    from rtseg.accuracy.comparison import Comparison
    from rtseg.datasets.registry import open_dataset
    from rtseg.report.quantization import attempt_text
    from rtseg.sensitivity.selection import Kept, within_budget
    from rtseg.sensitivity.trial import Trials

    pictures = open_dataset(data, split)

    def tried(kept: Kept, comparison: Comparison) -> None:
        assert comparison.drop is not None  # the dataset has labels
        say(attempt_text([entry.to_json() for entry in kept], comparison.drop))
        if not kept and comparison.drop > max_drop:
            say(f"that is more than {max_drop:g}: measuring each block alone, then sets of blocks")

    with counted("running FP32") as progress:
        trials = Trials(
            original,
            table,
            pictures,
            target=target,
            runner=runner,
            excluded=excluded,
            limit=limit,
            threads=threads,
            progress=progress,
        )
    with counted("running INT8") as progress:
        return within_budget(trials, max_drop, progress=progress, tried=tried)
