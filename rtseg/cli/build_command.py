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
    help="Runtime to build for.  [default: tensorrt with a GPU, else tensorrt-rtx]",
)
@click.option(
    "--compute-capability",
    "capabilities",
    multiple=True,
    metavar="N.N",
    help="GPU generation for tensorrt-rtx; may be repeated.  [default: 8.6, 8.9, 12.0, 12.1 and newer]",
)
@click.option(
    "--settings",
    "settings_path",
    type=ANY_PATH,
    metavar="TOML",
    help="How hard TensorRT searches, such as engines/fastest.toml.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), help="Precision of the engine.  [default: the file's]")
@click.option(
    "-o",
    "output",
    type=ANY_PATH,
    metavar="FILE",
    help="Engine to write.  [default: beside ONNX, NAME.PRECISION.RELEASE-GPU.engine or NAME.openvino.xml]",
)
@click.option(
    "--keep-graph", type=ANY_PATH, metavar="FILE", help="Also write the ONNX graph that the compiler gets to FILE."
)
@click.option(
    "--no-rewrite",
    is_flag=True,
    help="Compile the graph as it is. By default, graph passes first rewrite it for the compiler; the result is "
    "equivalent up to rounding.",
)
@click.option(
    "--workspace", type=click.IntRange(1, 1 << 24), metavar="MiB", help="Limit of the scratch memory of a layer."
)
@click.option(
    "--cuda",
    type=click.Choice(DRIVERS),
    default=DEFAULT,
    help=f"Package through which TensorRT calls CUDA.  [default: {DEFAULT}]",
)
@click.option("--keep-anyway", is_flag=True, help="Write the engine even if it lacks the requested precision.")
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
    """Build an engine for NVIDIA GPUs, or for OpenVINO.

    An engine is written once its precision is proven. If rtseg cannot read the text of TensorRT's inspector, it
    writes the engine, prints a note, and marks the precision in the manifest as not proven.

    TensorRT builds for the GPU of this machine. TensorRT for RTX builds without a GPU: for RTX cards from Ampere on, or
    for each --compute-capability (7.5 Turing, 8.6 Ampere, 8.9 Ada, 12.0 Blackwell). Turing needs an engine of its own,
    in fp32 or fp16. Build fp16 from an FP32 or FP16 file, int8 from a file that rtseg quantize wrote. For other ONNX
    files, run rtseg import-onnx first.

    Beside the engine, rtseg writes its manifest and its layers (NAME.engine.layers.json). An engine that was
    built before comes from the cache. The command also prints a computed lower bound of the time of one frame on the
    engine's cards; rtseg audit shows it for each card.

    If the convolutions and matrix products were not built in the requested precision, the exit code is 1. Such an
    engine stays in the cache; it is written only with --keep-anyway.

    --runtime openvino stores the model that the runner openvino compiles, for the CPU, in the file's precision:
    NAME.openvino.xml, with the constants in NAME.openvino.bin. INT8 is rewritten so that OpenVINO computes it
    correctly. The model is written only if it gives the same bits as the ONNX file. Every command and the C and C++
    library take it like an engine.

    \b
    Examples:
      rtseg export affnet --resolution 128x256 --target tensorrt -o affnet.onnx
      rtseg build affnet.onnx --runtime tensorrt-rtx --precision fp16
      rtseg build affnet.onnx --runtime openvino
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
        say(built_text(result.artifact, from_cache=result.from_cache))
        if result.bounds:
            say(bounds_text([bound.summary() for bound in result.bounds]))
        click.echo(result.artifact.path)
        say(next_commands(result.artifact, artifact))
    if not isinstance(result, OpenVinoBuildResult) and result.verdict.failures:
        result.verdict.require()
