"""`rtseg bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, table_console, watched
from rtseg.cli.options import (
    ANY_PATH,
    DATASETS,
    file_argument,
    json_option,
    named_network,
    resolution_option,
    split_option,
    threads_option,
    unbroken,
)
from rtseg.cli.preprocessing_options import own_network_options, preprocessing
from rtseg.runners.registry import runner_names
from rtseg.specs import PRECISIONS, Resolution

RESUMABLE = "run the same command with --resume to continue"
CACHED = "the files made so far stay in the cache"


@click.command()
@file_argument("artifacts", nargs=-1)
@click.option(
    "--network", "networks", multiple=True, metavar="NAME", help="Registered network; may be repeated.  [default: all]"
)
@click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Function that builds your own network.")
@click.option("--checkpoint", type=ANY_PATH, metavar="FILE", help="Weights, if there is one network.")
@click.option(
    "--checkpoints",
    type=ANY_PATH,
    metavar="DIR",
    help="Folder of the networks' checkpoints.  [default: with --data, those of rtseg]",
)
@click.option("--table", "table_id", metavar="ID", help="Time a paper's table, and print it in the paper's layout.")
@click.option("--tables", "list_tables", is_flag=True, help="List the papers' tables.")
@click.option("--classes", metavar="NAME|N|FILE", help="Class list.  [default: cityscapes, or the table's]")
@resolution_option(required=False)
@own_network_options
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    metavar="SECONDS",
    help="Time budget of a row, which takes at least 6 samples.  [default: 10]",
)
@click.option("--data", metavar="DATASET", help=f"Also measure mIoU, and INT8's ranges, on this dataset: {DATASETS}.")
@split_option
@click.option(
    "--runner",
    "runners",
    type=click.Choice(runner_names()),
    multiple=True,
    metavar="NAME",
    help=unbroken(
        f"Runtime, one of {', '.join(runner_names())}; may be repeated.  "
        "[default: what built an engine; else the GPU's, or onnxruntime]"
    ),
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(PRECISIONS),
    multiple=True,
    help="Precision; may be repeated.  [default: fp16 for engines, else fp32]",
)
@threads_option
@click.option("--resume", is_flag=True, help="Continue a run that was stopped.")
@json_option
def bench(
    artifacts: tuple[Path, ...],
    networks: tuple[str, ...],
    factory: str | None,
    checkpoint: Path | None,
    checkpoints: Path | None,
    table_id: str | None,
    list_tables: bool,
    classes: str | None,
    resolution: Resolution | None,
    head: str | None,
    threshold: float | None,
    seconds: float,
    data: str | None,
    split: str,
    runners: tuple[str, ...],
    precisions: tuple[str, ...],
    threads: int,
    resume: bool,
    as_json: bool,
    **pixels: Any,
) -> None:
    """Time networks, files or a paper's table.

    The boundary of a row says what was timed:

    \b
    network  normalised tensor -> full-resolution scores, as papers time
    engine   normalised tensor -> logits at the head's own stride
    frame    uint8 image -> uint8 label map, both in host memory

    Without files, rtseg exports the networks into the user's cache and times them at --resolution: those of --network,
    or all registered ones. If --precision asks for it, they are calibrated and quantized. If a --runner takes engines,
    engines are built and audited.

    --table times the networks of a paper's table, at the table's sizes and the boundary network. --resolution sets a
    size that the table leaves open.

    Named files and named networks are measured in turns; so are all runs of one network at one size. This makes "vs
    first", the ratio to the first row of the same boundary, a fair comparison. A row that cannot be built, loaded or
    run says why. With --data, networks with trained weights also get their mIoU.

    \b
    Examples:
      rtseg bench --network affnet --resolution 128x256 --seconds 1
      rtseg bench --network affnet --network s2fpn18 --resolution 128x256 \\
        --seconds 1 --threads 1
      rtseg bench --table haff-abstract --resolution 128x256 --seconds 1
    """
    if list_tables:
        if artifacts or networks or factory or checkpoint or data or table_id is not None:
            raise click.UsageError("--tables lists the papers' tables and does nothing else")
        _list_tables(as_json)
        return
    if table_id is not None and (artifacts or networks or factory or checkpoint):
        raise click.UsageError("a paper's table brings its own networks: --checkpoints DIR has their weights")
    if artifacts and (networks or factory or checkpoint or checkpoints or resolution or classes or precisions):
        raise click.UsageError("files bring their own network, classes, precision and resolution")
    if artifacts and resume:
        raise click.UsageError("files are measured in one run: there is nothing to resume")
    if table_id is None and not artifacts and resolution is None:
        raise click.UsageError("without files, --resolution is required, such as 512x1024")
    import rtseg
    from rtseg.cli.show.benchmark_text import print_benchmark
    from rtseg.cli.show.paper_table_text import print_paper_table
    from rtseg.pipeline.benchmark_stage import BenchmarkInterrupted

    own = named_network(networks[0] if networks else None, factory) if factory else None
    interrupted = None
    try:
        with watched() as observer:
            result = rtseg.bench(
                artifacts,
                networks=networks if own is None else (own,),
                checkpoint=checkpoint,
                checkpoints=checkpoints,
                table=table_id,
                classes=classes,
                resolution=resolution,
                head=head,
                threshold=threshold,
                **preprocessing(**pixels),
                seconds=seconds,
                data=data,
                split=split,
                runners=runners,
                precisions=precisions,
                threads=threads,
                resume=resume,
                observer=observer,
            )
    except BenchmarkInterrupted as caught:
        interrupted, result = caught, caught.result
    if as_json:
        print_json(result.to_json())
    elif not result.rows:
        say("nothing was timed yet")
    elif table_id is None:
        print_benchmark(result.to_json(), table_console())
    else:
        print_paper_table(result.to_json(), table_console())
    if interrupted is not None:
        say(f"stopped: {RESUMABLE if interrupted.resumable else CACHED}")
        raise interrupted
    untimed = [row for row in result.rows if row["summary"] is None]
    if untimed:
        words = ", ".join(dict.fromkeys(row["word"] for row in untimed))
        say(f"{len(untimed)} of {len(result.rows)} rows have no time: {words}")
    if result.skipped:
        say(f"{len(result.skipped)} of {len(artifacts)} files were skipped")
    if not result.is_complete:
        raise click.exceptions.Exit(1)


def _list_tables(as_json: bool) -> None:
    from rtseg.cli.show.paper_table_text import print_paper_list
    from rtseg.pipeline.listing import paper_table_list

    tables = paper_table_list()
    if as_json:
        print_json(tables)
    else:
        print_paper_list(tables, table_console())
