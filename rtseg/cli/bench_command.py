"""`rtseg bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from rtseg.cli.console import print_json, say, table_console, watched
from rtseg.cli.options import (
    ANY_PATH,
    file_argument,
    json_option,
    named_network,
    resolution_option,
    threads_option,
)
from rtseg.cli.preprocessing_options import own_network_options, preprocessing
from rtseg.runners.registry import runner_names
from rtseg.specs import PRECISIONS, Resolution

RESUMABLE = "the same command with --resume goes on from here"
CACHED = "what was made for it stays in the cache"


@click.command()
@file_argument("artifacts", nargs=-1)
@click.option("--network", "networks", multiple=True, help="A registered network; several allowed.  [all]")
@click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Your own network instead of a name.")
@click.option("--checkpoint", type=ANY_PATH, help="Weights of the one network.")
@click.option(
    "--checkpoints",
    type=ANY_PATH,
    metavar="DIR",
    help="A folder with the networks' checkpoints.  [with --data rtseg's own]",
)
@click.option("--table", "table_id", metavar="ID", help="Run a table of a paper, in its own layout.")
@click.option("--tables", "list_tables", is_flag=True, help="List the papers' tables.")
@click.option("--classes", metavar="NAME|N", help="Class list.  [cityscapes; with --table that of its dataset]")
@resolution_option(required=False)
@own_network_options
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Time budget of each row; at least 6 samples are taken.",
)
@click.option("--data", help="Also measure mIoU of the same files on this dataset, and INT8's ranges.")
@click.option("--split", default="val", show_default=True)
@click.option(
    "--runner",
    "runners",
    type=click.Choice(runner_names()),
    multiple=True,
    help="What runs them; several allowed.  [the GPU's, else onnxruntime; of an engine what built it]",
)
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(PRECISIONS),
    multiple=True,
    help="Of the networks; several allowed.  [fp16 for engines, else fp32]",
)
@threads_option
@click.option("--resume", is_flag=True, help="Go on with a run that was stopped.")
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

    \b
    network  normalised tensor -> full-resolution scores, what the papers time
    engine   normalised tensor -> logits at the head's own stride
    frame    uint8 image -> uint8 label map, both in host memory

    Without files the networks are exported into the user's cache and timed at --resolution: those of --network, or
    every registered one. Where --precision asks for it they are calibrated and quantised, and where a --runner takes
    engines, engines are built and audited. With --table the networks of a paper's table are, at its sizes and the
    boundary network; --resolution is for sizes it leaves open.

    Files and networks that are named are measured in turns, so that "vs first", the ratio to the first row of the same
    boundary, means something; so is everything of one network at one size. What cannot be built, loaded or run is a row
    that says why. With --data trained weights have their mIoU beside.

    \b
    Example: rtseg bench --resolution 1024x2048
    Example: rtseg bench affnet.onnx affnet.int8.onnx --runner onnxruntime --runner openvino
    Example: rtseg bench --table affnet-6 --runner tensorrt-rtx --precision fp16 --precision int8
    Example: rtseg bench --table s2fpn-camvid --data camvid:CamVid
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
        raise click.UsageError("files are measured in one go: there is nothing to resume")
    if table_id is None and not artifacts and resolution is None:
        raise click.UsageError("without files --resolution is needed, such as 512x1024")
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
    if untimed := [row for row in result.rows if row["summary"] is None]:
        words = ", ".join(dict.fromkeys(row["word"] for row in untimed))
        say(f"{len(untimed)} of {len(result.rows)} rows have no time: {words}")
        raise click.exceptions.Exit(1)


def _list_tables(as_json: bool) -> None:
    from rtseg.cli.show.paper_table_text import print_paper_list
    from rtseg.pipeline.listing import paper_table_list

    tables = paper_table_list()
    if as_json:
        print_json(tables)
    else:
        print_paper_list(tables, table_console())
