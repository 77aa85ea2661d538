"""`rtseg bench`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, table_console
from rtseg.cli.options import ANY_PATH, file_argument, json_option, resolution_option, selected_network, threads_option
from rtseg.runners.registry import DEFAULT_RUNNERS, runner_names
from rtseg.specs import Resolution


@click.command()
@file_argument("artifacts", nargs=-1)
@click.option("--network", "networks", multiple=True, help="A registered network; several allowed.  [all]")
@click.option("--module", "factory", metavar="PKG.MOD:FACTORY", help="Your own network instead of a name.")
@click.option("--checkpoint", type=ANY_PATH, help="Weights of the one network.")
@click.option("--table", "table_id", metavar="ID", help="Run a table of a paper, in its own layout.")
@click.option("--tables", "list_tables", is_flag=True, help="List the papers' tables.")
@click.option("--classes", metavar="NAME|N", help="Class list.  [cityscapes; with --table that of its dataset]")
@resolution_option(required=False)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Time budget of each row; at least 5 samples are taken.",
)
@click.option("--data", help="Also measure mIoU of the same files on this dataset.")
@click.option("--split", default="val", show_default=True)
@click.option(
    "--runner",
    "runners",
    type=click.Choice(runner_names()),
    multiple=True,
    help="What runs the files; several allowed.  [onnxruntime; tensorrt for engines]",
)
@threads_option
@json_option
def bench(
    artifacts: tuple[Path, ...],
    networks: tuple[str, ...],
    factory: str | None,
    checkpoint: Path | None,
    table_id: str | None,
    list_tables: bool,
    classes: str | None,
    resolution: Resolution | None,
    seconds: float,
    data: str | None,
    split: str,
    runners: tuple[str, ...],
    threads: int,
    as_json: bool,
) -> None:
    """Time networks, files or a paper's table, papers' figures beside.

    \b
    network  normalised tensor -> full-resolution scores, what the papers time
    engine   normalised tensor -> logits at the head's own stride
    frame    uint8 image -> uint8 label map, both in host memory

    Without arguments every registered network is exported, once, into the user's cache and timed. With --table the
    networks of a paper's table are, at its sizes and the boundary network; --resolution is for sizes it leaves open.

    Files and networks that are named, and all runners of each, are measured in turns, so that "vs first", the ratio to
    the first row of the same boundary, means something. The whole list of networks is measured one after the other.

    \b
    Example: rtseg bench --resolution 1024x2048
    Example: rtseg bench affnet.onnx affnet.int8.onnx --runner onnxruntime --runner openvino
    Example: rtseg bench --table affnet-6
    """
    if table_id is not None or list_tables:
        if artifacts or networks or factory or checkpoint or data or (table_id is not None and list_tables):
            raise click.UsageError("a paper's table brings its own networks, and random weights have no mIoU")
        if list_tables:
            _list_tables(as_json)
            return
        if len(runners) > 1:
            raise click.UsageError("a paper's table has one column for here: name one --runner")
        runner = runners[0] if runners else DEFAULT_RUNNERS["onnx"]
        _bench_table(str(table_id), classes, resolution, seconds, runner, threads, as_json)
        return
    from rtseg.benchmarks.sampling import SamplingRule
    from rtseg.benchmarks.session import BenchmarkSession
    from rtseg.datasets.registry import open_dataset
    from rtseg.networks.registry import network_names
    from rtseg.report.benchmark import benchmark_text

    if artifacts and (networks or factory or checkpoint or resolution or classes):
        raise click.UsageError("artifacts bring their own network, classes and resolution: name one or the other")
    if not artifacts and resolution is None:
        raise click.UsageError("without artifacts --resolution is needed, such as 512x1024")
    session = BenchmarkSession(
        SamplingRule.within(seconds),
        runners=runners,
        threads=threads,
        dataset=open_dataset(data, split) if data else None,
        notify=say,
    )
    if artifacts:
        for path in artifacts:
            session.add_artifact(path)
    else:
        assert resolution is not None
        names: list[str | None] = list(networks) or ([None] if factory or checkpoint else [*network_names()])
        for name in names:
            session.add_network(selected_network(name, factory, checkpoint, classes, (), 0), resolution)
            if not networks:
                session.measure()  # so many networks at once would fill the memory
    result = session.result()
    if as_json:
        print_json(result)
    else:
        benchmark_text(result, table_console())


def _list_tables(as_json: bool) -> None:
    from rtseg.benchmarks.paper_table import table_list
    from rtseg.report.paper_table import paper_list_text

    tables = table_list()
    if as_json:
        print_json(tables)
    else:
        paper_list_text(tables, table_console())


def _bench_table(
    table_id: str,
    classes: str | None,
    resolution: Resolution | None,
    seconds: float,
    runner: str,
    threads: int,
    as_json: bool,
) -> None:
    from rtseg.benchmarks.paper_table import benchmark_table, classes_of, plan_table, speed_table
    from rtseg.benchmarks.sampling import SamplingRule
    from rtseg.datasets.registry import class_spec
    from rtseg.report.paper_table import paper_table_text

    table = speed_table(table_id)
    plan = plan_table(table, class_spec(classes) if classes else classes_of(table), resolution)
    result = benchmark_table(plan, SamplingRule.within(seconds), runner=runner, threads=threads, notify=say)
    if as_json:
        print_json(result)
    else:
        paper_table_text(result, table_console())
