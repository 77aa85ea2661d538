"""Every network as an engine of TensorRT for RTX: its precisions, its passes, its multiply-accumulates."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import onnx
import pytest

from rtseg.cli import main
from rtseg.engines.cards import card_named
from rtseg.engines.engine_macs import macs_of_layers
from rtseg.engines.layer_audit import audit
from rtseg.engines.layers_file import read_layers
from rtseg.engines.lower_bound import lower_bound
from rtseg.exporting.onnx_file import export_onnx
from rtseg.graphs.macs import macs_by_node
from rtseg.graphs.view import GraphView, node_name
from rtseg.networks.registry import network_names
from rtseg.quantization.files import int8_graph, read_original, read_table, write_derived
from rtseg.specs import Resolution
from tests.contracts.rtx_builds import built, exported, quantized
from tests.made_once import made_once
from tests.silu_network import silu_network

pytestmark = pytest.mark.usefixtures("rtx_compiler")

SHIPPED = [
    ("affnet-camvid", "8.9"),
    ("affnet-camvid", "12.0"),
    pytest.param("s2fpn18-camvid", "12.0", marks=pytest.mark.slow),
]
BUILT = ("affnet", "haff")
"""All others are slow tests."""

REWRITTEN = ("fast_scnn",)
"""Passes are tried one by one; all others are slow tests."""

SIZES = ("512x512", "512x1024", "1024x2048")


def names(built: tuple[str, ...]) -> list[object]:
    return [name if name in built else pytest.param(name, marks=pytest.mark.slow) for name in network_names()]


@pytest.mark.parametrize("name", names(BUILT))
def test_every_network_becomes_an_engine_in_fp32_and_fp16(name: str, tmp_path: Path) -> None:
    path = exported(name, tmp_path)
    moved = {}
    for precision in ("fp32", "fp16"):
        engine = built(path, precision, "8.6", folder=tmp_path / precision)
        assert engine.verdict.passed, engine.verdict.sentence()
        assert engine.proof.shares is not None
        assert set(engine.proof.shares["weighted"]) <= {"fp32", precision}
        moved[precision] = engine.proof.shares["account"]["bytes"]
    assert moved["fp16"] < 0.8 * moved["fp32"]


@pytest.mark.parametrize("name", names(REWRITTEN))
def test_every_network_is_proven_after_the_passes_that_pay_and_moves_no_more(name: str, tmp_path: Path) -> None:
    path = exported(name, tmp_path, target="tensorrt")
    plain, after = (
        built(path, "fp16", "8.6", folder=tmp_path / str(rewrite), rewrite=rewrite) for rewrite in (False, True)
    )
    assert after.verdict.passed, after.verdict.sentence()
    accounts = [engine.proof.shares["account"] for engine in (plain, after) if engine.proof.shares is not None]
    moved = [account["bytes"] - account["repeated_bytes"] for account in accounts]
    rewriting = after.manifest.details.rewriting
    assert [rewriting["before"]["bytes"], rewriting["after"]["bytes"]] == moved
    assert moved[1] <= moved[0]
    assert [rewriting["before"]["kernels"], rewriting["after"]["kernels"]] == [entry["kernels"] for entry in accounts]
    assert plain.manifest.details.rewriting == {}


def test_turing_gets_the_passes_that_pay_there(tmp_path: Path) -> None:
    engine = built(exported("fast_scnn", tmp_path), "fp16", "7.5", folder=tmp_path, rewrite=True)
    assert engine.verdict.passed, engine.verdict.sentence()
    assert engine.manifest.details.rewriting["applied"]


@pytest.mark.parametrize(("name", "capability"), SHIPPED)
def test_the_shipped_networks_become_int8_engines(
    name: str, capability: str, int8_affnet: Path, tmp_path: Path
) -> None:
    graph = int8_affnet if int8_affnet.name.startswith(f"{name}.") else quantized(name, tmp_path)
    engine = built(graph, "int8", capability, folder=tmp_path)
    assert engine.verdict.passed, engine.verdict.sentence()
    assert tuple(engine.verdict.alone) == ()
    asked = read_layers(engine.path).asked
    layers = audit(read_layers(engine.path)).weighted
    assert sum(entry.precision == "int8" for entry in layers) >= 0.5 * len(asked)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", network_names())
def test_every_network_becomes_an_engine_at_the_papers_sizes_for_every_kind_of_gpu(
    name: str, size: str, tmp_path: Path
) -> None:
    path = exported(name, tmp_path, Resolution.parse(size), "cityscapes")
    for precision in ("fp32", "fp16"):
        for capability in ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"):
            engine = built(path, precision, capability, folder=tmp_path / capability)
            assert engine.verdict.passed, (capability, precision, engine.verdict.sentence())


# The multiply-accumulates


@pytest.mark.parametrize("network", ["haff", "espnetv2"])
def test_the_multiply_accumulates_of_the_kernels_are_those_of_the_graph(network: str, tmp_path: Path) -> None:
    path = exported(network, tmp_path, Resolution(64, 128))
    graph = GraphView(onnx.shape_inference.infer_shapes(onnx.load(path)))
    layers = read_layers(built(path, "fp32", "8.6", folder=tmp_path).path)
    bound = lower_bound(audit(layers), card_named("RTX 3090"))
    assert (bound.macs, bound.uncounted) == (sum(macs_by_node(graph).values()), 0)


@pytest.fixture(scope="module")
def silu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of SiLU and gates."""

    def export(folder: Path) -> None:
        export_onnx(silu_network(), Resolution(64, 128), folder / "silu.onnx")

    return made_once(tmp_path_factory, "silu", export) / "silu.onnx"


@pytest.fixture(scope="module")
def silu_int8(silu: Path) -> Path:
    """The same in INT8, with the ranges of two pictures."""
    original, table, path = read_original(silu), silu.with_name("table.json"), silu.with_name("silu.int8.onnx")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as done:
        patch.setenv("RTSEG_CACHE", str(silu.parent / "cache"))
        arguments = ("--data", "streets:64x128", "--images", "2", "--method", "minmax", "--threads", "1")
        main(["calibrate", str(silu), *arguments, "-o", str(table)])
    assert done.value.code == 0
    model, _ = int8_graph(original, read_table(table, original), target="tensorrt")
    write_derived(original, model, path, precision="int8")
    return path


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_product_of_a_network_with_silu_is_counted(
    precision: str, silu: Path, silu_int8: Path, tmp_path: Path
) -> None:
    source = silu_int8 if precision == "int8" else silu
    layers = read_layers(built(source, precision, "8.9", folder=tmp_path).path)
    bound = lower_bound(audit(layers), card_named("RTX 4090"))
    view = GraphView(onnx.load(source))
    expected = {
        node_name(node): count * compiled_width(view, node, precision)
        for node in view.nodes
        if (count := macs_by_node(view).get(node_name(node)))
    }
    assert (bound.macs, bound.uncounted) == (sum(expected.values()), 0)


def compiled_width(view: GraphView, node: onnx.NodeProto, precision: str) -> Fraction:
    """Return the ratio of the input channels that a group has once compiled to those in the graph.

    The compiler fills the picture's three up to four and, in INT8, gives each group of a depthwise convolution four.
    """
    weight = view.producer(node.input[1])
    channels = view.shape(node.input[1] if weight is None else weight.input[0])[1]
    if precision == "fp32" or (precision == "fp16" and channels == 1):
        return Fraction(1)
    return Fraction(max(channels, 4), channels)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_where_shapes_settle_nothing_each_operator_of_the_graph_is_counted_once(
    precision: str, silu: Path, silu_int8: Path, tmp_path: Path
) -> None:
    source = silu_int8 if precision == "int8" else silu
    audited = audit(read_layers(built(source, precision, "8.6", "8.9", folder=tmp_path).path)).alone["8.9"]
    bare = [replace(entry, layer=replace(entry.layer, constants=())) for entry in audited.layers]
    counts = macs_of_layers(bare, audited.engine.macs)
    assert sum(map(int, filter(None, counts))) == sum(macs_by_node(GraphView(onnx.load(source))).values())
    assert None not in counts
