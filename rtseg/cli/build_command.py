"""`rtseg build`."""

from __future__ import annotations

from pathlib import Path

import click

from rtseg.cli.console import print_json, say, watched
from rtseg.cli.options import ANY_PATH, file_argument, json_option
from rtseg.runners.cuda.registry import DEFAULT, DRIVERS
from rtseg.runners.openvino_package import OPENVINO
from rtseg.runners.tensorrt.module import RUNTIMES
from rtseg.specs import PRECISIONS


@click.command()
@file_argument("artifact", metavar="ONNX")
@click.option(
    "--runtime",
    type=click.Choice((*RUNTIMES, OPENVINO)),
    help="What it is built for.  [tensorrt with a GPU, else tensorrt-rtx]",
)
@click.option(
    "--compute-capability",
    "capabilities",
    multiple=True,
    metavar="N.N",
    help="A kind of GPU that the engine is for, with tensorrt-rtx; may be repeated.  [8.6, 8.9, 12.0, 12.1 and newer]",
)
@click.option("--settings", "settings_path", type=ANY_PATH, help="How hard TensorRT searches: engines/NAME.toml.")
@click.option("--precision", type=click.Choice(PRECISIONS), help="What the engine computes in.  [the file's own]")
@click.option("-o", "output", type=ANY_PATH, help="The engine.  [NAME.PRECISION.RELEASE-GPU.engine; NAME.openvino.xml]")
@click.option("--keep-graph", type=ANY_PATH, metavar="F", help="Write the ONNX graph that the compiler is given to F.")
@click.option("--no-rewrite", is_flag=True, help="Give the compiler the file's graph as it is, without graph passes.")
@click.option("--workspace", type=click.IntRange(1, 1 << 24), metavar="MiB", help="Most scratch memory of a layer.")
@click.option("--cuda", type=click.Choice(DRIVERS), default=DEFAULT, show_default=True, help="How TensorRT calls CUDA.")
@click.option(
    "--keep-anyway", is_flag=True, help="Write the engine even where it is not in the precision that was asked for."
)
@json_option
def build(
    artifact: Path,
    runtime: str | None,
    capabilities: tuple[str, ...],
    settings_path: Path | None,
    precision: str | None,
    output: Path | None,
    keep_graph: Path | None,
    no_rewrite: bool,
    workspace: int | None,
    cuda: str,
    keep_anyway: bool,
    as_json: bool,
) -> None:
    """Build an engine for NVIDIA GPUs, or a model of OpenVINO.

    The precision of an engine is proven before it gets its name.

    TensorRT builds for the GPU of this machine. TensorRT for RTX builds without a GPU, for RTX cards from Ampere on,
    or for those named by --compute-capability: 7.5 Turing, 8.6 Ampere, 8.9 Ada, 12.0 Blackwell. An engine for 7.5 is
    one of its own, in fp32 or fp16. fp16 is built from an FP32 or FP16 file, int8 from what rtseg quantize wrote.

    Beside the engine lie its manifest and, in NAME.engine.layers.json, its layers. A request that was built before is
    taken from the cache. What a frame takes at least on the cards that the engine is for is told as its lower bound,
    which is computed; rtseg audit shows it for each of them.

    The exit code is 1 when the convolutions and matrix products were not built in the precision asked for. Such an
    engine stays in the cache and is not written, unless with --keep-anyway. rtseg import-onnx makes a file of any
    other ONNX.

    --runtime openvino stores what the runner openvino compiles, INT8 said so that OpenVINO computes it right, as
    NAME.openvino.xml with its constants in NAME.openvino.bin, for the CPU, in ONNX's own precision. It gets its name
    once it gives the same bits as ONNX. Every command and the C and C++ library take it as they take an engine.

    \b
    Example: rtseg build affnet.onnx --precision fp16
    Example: rtseg build affnet.onnx --runtime tensorrt-rtx --compute-capability 8.9 --precision fp16
    Example: rtseg build affnet.int8.onnx --runtime openvino
    Example: rtseg build affnet.int8.onnx --settings engines/fastest.toml -o affnet.engine
    """
    import rtseg
    from rtseg.cli.show.bound_text import bounds_text
    from rtseg.cli.show.build_text import built_text, next_commands, stored_text, uses_of_stored
    from rtseg.pipeline.engine_stages import OpenVinoBuildResult

    with watched() as observer:
        result = rtseg.build(
            artifact,
            output,
            precision=precision,
            runtime=runtime,
            capabilities=capabilities,
            settings=settings_path,
            workspace_mib=workspace,
            cuda=cuda,
            keep_anyway=keep_anyway,
            keep_graph=keep_graph,
            rewrite=not no_rewrite,
            observer=observer,
        )
    if as_json:
        print_json(result.to_json())
    elif isinstance(result, OpenVinoBuildResult):
        say(stored_text(result.artifact.manifest))
        click.echo(result.artifact.path)
        say(uses_of_stored(result.artifact))
    else:
        say(built_text(result.artifact.manifest, from_cache=result.from_cache))
        if result.bounds:
            say(bounds_text([bound.summary() for bound in result.bounds]))
        click.echo(result.artifact.path)
        say(next_commands(result.artifact, artifact))
    if not isinstance(result, OpenVinoBuildResult) and result.verdict.failures:
        result.verdict.require()
