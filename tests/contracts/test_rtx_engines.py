"""Real engines of TensorRT for RTX, built here by NVIDIA's own compiler: every network, and what proves them."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest

from rtseg.artifacts.manifest import read_manifest
from rtseg.cli import main
from rtseg.datasets.registry import class_spec
from rtseg.engines import rtx_builder
from rtseg.engines.building import FORM_HINT, build_engine
from rtseg.engines.cards import card_named
from rtseg.engines.engine_cache import EngineCache
from rtseg.engines.engine_file import BuiltEngine
from rtseg.engines.engine_macs import macs_of_layers
from rtseg.engines.layer_audit import audit
from rtseg.engines.layers_file import read_layers
from rtseg.engines.lower_bound import lower_bound
from rtseg.engines.lowering import lower as lowering
from rtseg.engines.verdict import verdict_on
from rtseg.errors import EngineError, QuantizationError
from rtseg.exporting.onnx_file import export_onnx
from rtseg.graphs.macs import macs_by_node
from rtseg.graphs.view import GraphView, node_name
from rtseg.networks.prepared import network_with_random_weights
from rtseg.networks.registry import network_names
from rtseg.networks.resolve import resolve_network
from rtseg.quantization.files import int8_graph, read_original, read_table, write_derived
from rtseg.runners.tensorrt.module import RTX, rtx_has_wheels
from rtseg.specs import Resolution
from tests.contracts.rtx_log_count import count
from tests.observers import Recorder
from tests.silu_network import silu_network

ROOT = Path(__file__).resolve().parents[2]
SMALL = Resolution(64, 96)
SHIPPED = {"affnet-camvid": ("8.9",), "s2fpn18-camvid": ("12.0",)}
"""With what they are built for: for all at once would take five builds."""

BUILT = ("affnet", "haff")
"""All others are slow tests; s2fpn18 is built in INT8 below."""

REWRITTEN = ("enet",)
"""Of which passes save much; all others are slow tests."""

SIZES = ("512x512", "512x1024", "1024x2048")
PORTABLE = ("8.6", "8.9", "12.0", "12.1")


@pytest.fixture(scope="module", autouse=True)
def compiler() -> None:
    """Skip where there is no wheel of the compiler; where there is one it has to be installed."""
    if not rtx_has_wheels():
        pytest.skip("TensorRT for RTX has wheels for x86-64 Linux and Windows only")
    pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed: pip install 'rtseg[rtx]'")


@pytest.fixture(scope="module", autouse=True)
def few_threads(one_core: None) -> None:
    """PyTorch exports small pictures here."""


class NothingKept(EngineCache):
    """A cache that keeps nothing: every build is one, and no engine of 250 MB is written twice."""

    def keep(self, key: object, plan: object) -> None:
        """Keep nothing."""


def built(path: Path, precision: str, *capabilities: str, folder: Path, **options: object) -> BuiltEngine:
    """Return a new engine, of the file's own graph unless rewrite is among the options."""
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{path.stem}.{precision}.{'-'.join(capabilities) or 'portable'}.engine"
    settings: dict[str, Any] = {"cache": NothingKept(folder / "cache"), "rewrite": False, **options}
    return build_engine(path, name, precision=precision, runtime=RTX, capabilities=capabilities, **settings)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """affnet at a small size."""
    path = tmp_path_factory.mktemp("small") / "affnet.onnx"
    export_onnx(network_with_random_weights("affnet", class_spec("camvid"), seed=1), SMALL, path)
    return path


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped affnet in INT8."""
    return quantized("affnet-camvid", tmp_path_factory.mktemp("int8"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    """A cache with what `ampere` and `portable` are."""
    return EngineCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def ampere(small: Path, cache: EngineCache) -> BuiltEngine:
    """The small network in FP16 for compute capability 8.6; not to be changed."""
    return built(small, "fp16", "8.6", folder=small.parent / "ampere", cache=cache)


class Portable(NamedTuple):
    engine: BuiltEngine
    observer: Recorder


@pytest.fixture(scope="module")
def portable(small: Path, cache: EngineCache) -> Portable:
    """The small network in FP16 for all there is, which takes five builds, and what was told meanwhile."""
    observer = Recorder()
    return Portable(built(small, "fp16", folder=small.parent / "portable", cache=cache, observer=observer), observer)


def quantized(name: str, folder: Path) -> Path:
    network = resolve_network(None, None, checkpoint=ROOT / "export" / "checkpoints" / f"{name}.safetensors")
    export_onnx(network, Resolution(360, 480), folder / f"{name}.onnx")
    original = read_original(folder / f"{name}.onnx")
    table = read_table(ROOT / "calibration" / f"{name}-360x480.table.json", original)
    model, _ = int8_graph(original, table, target="tensorrt")
    write_derived(original, model, folder / f"{name}.int8.onnx", precision="int8")
    return folder / f"{name}.int8.onnx"


# Every network


def names(built: tuple[str, ...]) -> list[object]:
    return [name if name in built else pytest.param(name, marks=pytest.mark.slow) for name in network_names()]


@pytest.mark.parametrize("name", names(BUILT))
def test_every_network_becomes_an_engine_in_fp32_and_fp16(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.onnx"
    export_onnx(network_with_random_weights(name, class_spec("camvid"), seed=1), SMALL, path)
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
    path = tmp_path / f"{name}.onnx"
    export_onnx(network_with_random_weights(name, class_spec("camvid"), seed=1), SMALL, path, target="tensorrt")
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


def test_turing_gets_the_passes_that_pay_there(small: Path, tmp_path: Path) -> None:
    engine = built(small, "fp16", "7.5", folder=tmp_path, rewrite=True)
    assert engine.verdict.passed, engine.verdict.sentence()
    assert engine.manifest.details.rewriting["applied"]


@pytest.mark.parametrize(("name", "capabilities"), SHIPPED.items())
def test_the_shipped_networks_become_int8_engines(
    name: str, capabilities: tuple[str, ...], int8: Path, tmp_path: Path
) -> None:
    graph = int8 if int8.name.startswith(f"{name}.") else quantized(name, tmp_path)
    engine = built(graph, "int8", *capabilities, folder=tmp_path)
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
    path = tmp_path / f"{name}.onnx"
    export_onnx(network_with_random_weights(name, class_spec("cityscapes"), seed=1), Resolution.parse(size), path)
    for precision in ("fp32", "fp16"):
        for capability in ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1"):
            engine = built(path, precision, capability, folder=tmp_path / capability)
            assert engine.verdict.passed, (capability, precision, engine.verdict.sentence())


# The proof


@pytest.mark.parametrize(("precision", "capabilities"), [("fp32", ("8.6",)), ("fp16", ("12.0",)), ("fp16", ("7.5",))])
def test_the_account_is_that_of_a_reader_of_the_log_written_separately(
    small: Path, precision: str, capabilities: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, message = with_its_log(small, precision, capabilities, tmp_path, monkeypatch)
    require_equal_counts(engine, message)


def test_the_account_of_an_int8_engine_is_that_of_the_other_reader(
    int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, message = with_its_log(int8, "int8", ("8.9",), tmp_path, monkeypatch)
    require_equal_counts(engine, message)


def with_its_log(
    path: Path, precision: str, capabilities: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[BuiltEngine, str]:
    messages = []
    read = rtx_builder.inspector_json
    monkeypatch.setattr(rtx_builder, "inspector_json", lambda text: messages.append(text) or read(text))
    engine = built(path, precision, *capabilities, folder=folder)
    (message,) = messages
    return engine, message


def require_equal_counts(engine: BuiltEngine, message: str) -> None:
    account, counted = audit(read_layers(engine.path)).account, count(message)
    assert (len(account.kernels), account.bytes) == (counted.kernels, counted.bytes)
    assert account.constant_bytes == counted.constant_bytes


@pytest.mark.parametrize(("precision", "capabilities"), [("fp32", ("8.6",)), ("fp16", ("8.6", "12.0"))])
def test_two_builds_of_one_request_are_byte_equal(
    small: Path, precision: str, capabilities: tuple[str, ...], tmp_path: Path
) -> None:
    first, second = (built(small, precision, *capabilities, folder=tmp_path / part) for part in "ab")
    assert not first.from_cache and not second.from_cache
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.manifest.sha256 == second.manifest.sha256


def test_two_builds_in_int8_are_byte_equal(int8: Path, tmp_path: Path) -> None:
    first, second = (built(int8, "int8", "8.6", folder=tmp_path / part) for part in "ab")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_the_compiler_makes_fp16_arithmetic_of_int8_for_turing_and_the_proof_sees_it(
    int8: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lowering refuses up front, let through to the real compiler."""
    monkeypatch.setattr(lowering, "TURING", (0, 0))
    with pytest.raises(EngineError, match=r"were requested in int8 and built in fp16 .* silently"):
        built(int8, "int8", "7.5", folder=tmp_path)
    assert not list(tmp_path.glob("*.engine"))
    monkeypatch.undo()
    with pytest.raises(QuantizationError, match=r"INT8 for compute capability 7\.5 is not built"):
        built(int8, "int8", "7.5", folder=tmp_path)


def test_a_precision_that_the_compiler_was_not_given_fails_and_leaves_no_file(small: Path, tmp_path: Path) -> None:
    """An FP32 graph passed off as FP16."""
    compiler = rtx_compiler_of("8.6")
    from rtseg.engines.building import compile_engine

    ready = replace(compiler.ready(small, "fp32", rewrite=False), precision="fp16")
    manifest = read_manifest(small, kind="onnx")
    with pytest.raises(EngineError, match="fp16 was requested, but no product of the graph is in fp16"):
        compile_engine(compiler, ready, manifest, tmp_path / "x.engine", cache=EngineCache(tmp_path / "cache"))
    assert not list(tmp_path.glob("x.engine*"))


def rtx_compiler_of(*capabilities: str):  # type: ignore[no-untyped-def]
    from rtseg.engines.rtx_capabilities import rtx_platform
    from rtseg.engines.rtx_compiler import RtxCompiler
    from rtseg.runners.tensorrt.module import load_rtx

    trt = load_rtx("testing")
    return RtxCompiler(trt, rtx_platform(trt, capabilities))


# The file


def test_an_engine_is_nvidias_and_says_its_release(ampere: BuiltEngine) -> None:
    import tensorrt_rtx as trt

    content = ampere.path.read_bytes()
    assert ".".join(map(str, content[24:27])) == ".".join(trt.__version__.split(".")[:3])
    validity, diagnostics = trt.Runtime(trt.Logger(trt.Logger.INTERNAL_ERROR)).get_engine_validity(content)
    assert int(diagnostics) != int(trt.EngineInvalidityDiagnostics.MALFORMED_ENGINE), validity
    details = ampere.manifest.details
    assert (details.runtime, details.release) == (RTX, trt.__version__)
    assert (details.compute_capabilities, details.portable) == (("8.6",), False)
    assert ampere.manifest.device == "GPUs of compute capability 8.6"


def test_a_portable_engine_is_for_ampere_and_all_that_is_newer(
    small: Path, portable: Portable, cache: EngineCache, tmp_path: Path
) -> None:
    engine = portable.engine
    assert engine.manifest.device == "GPUs of compute capability 8.6, 8.9, 12.0, 12.1 and newer"
    assert tuple(read_layers(engine.path).alone) == PORTABLE
    again = built(small, "fp16", folder=tmp_path, cache=cache)
    assert again.from_cache and again.path.read_bytes() == engine.path.read_bytes()


def test_the_graph_that_the_compiler_was_given_can_be_kept(
    small: Path, ampere: BuiltEngine, cache: EngineCache, tmp_path: Path
) -> None:
    engine = built(small, "fp16", "8.6", folder=tmp_path, cache=cache, keep_graph=tmp_path / "kept.onnx")
    assert engine.from_cache and engine.path.read_bytes() == ampere.path.read_bytes()
    kept = onnx.load(tmp_path / "kept.onnx")
    onnx.checker.check_model(kept, full_check=True)
    asked = read_layers(engine.path).asked
    products = [node for node in kept.graph.node if node.op_type in ("Conv", "ConvTranspose", "MatMul", "Gemm")]
    assert list(asked) == [node.name for node in products]
    with pytest.raises(EngineError, match="the graph would overwrite"):
        built(small, "fp16", "8.6", folder=tmp_path, keep_graph=engine.path)


def test_each_onnx_product_is_named_by_a_kernel(ampere: BuiltEngine) -> None:
    facts = json.loads(ampere.layers.read_text())
    told = {name for kernel in audit(read_layers(ampere.path)).account.kernels for name in kernel.operators}
    assert set(facts["Asked Precisions"]) <= told


# What cannot be


@pytest.mark.parametrize(
    ("capabilities", "told"),
    [
        (("9.0",), r"compiles for no compute capability 9\.0; expected one of 7\.5, 8\.0, 8\.6, 8\.9, 12\.0"),
        (("ada",), r"compiles for no compute capability ada; expected one of"),
        (("7.5", "8.6"), r"compute capability 7\.5 needs its own engine"),
    ],
)
def test_compute_capabilities_that_cannot_be_are_told(
    small: Path, tmp_path: Path, capabilities: tuple[str, ...], told: str
) -> None:
    with pytest.raises(EngineError, match=told):
        built(small, "fp16", *capabilities, folder=tmp_path)
    assert not list(tmp_path.glob("*.engine*"))


def test_the_compilers_refusal_is_one_line_in_its_own_words(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lowering, "without_fp32_products", lambda model: (model, 0))
    with pytest.raises(
        EngineError, match=r"capability 7\.5 does not support .*MatMul.* \(FP32 GEMM is not supported\)"
    ):
        built(small, "fp32", "7.5", folder=tmp_path)


def test_too_little_workspace_is_told_in_one_line(small: Path, tmp_path: Path) -> None:
    from rtseg.engines.settings import BuildSettings

    with pytest.raises(EngineError, match="no kernel fits into the workspace"):
        built(small, "fp16", "8.6", folder=tmp_path, settings=BuildSettings(workspace_mib=1))


def test_settings_for_other_gpus_are_refused(small: Path, tmp_path: Path) -> None:
    from rtseg.engines.settings import BuildSettings

    with pytest.raises(EngineError, match="TensorRT for RTX has no hardware_compatibility"):
        built(small, "fp16", "8.6", folder=tmp_path, settings=BuildSettings(hardware_compatibility="ampere_plus"))


def test_settings_that_do_nothing_find_the_engine_and_are_told_to_who_asked_for_them(
    small: Path, ampere: BuiltEngine, cache: EngineCache, tmp_path: Path
) -> None:
    from rtseg.engines.settings import BuildSettings

    requests = [BuildSettings(optimization_level=5), BuildSettings(timing_cache=False), BuildSettings(tiling="full")]
    engines = [built(small, "fp16", "8.6", folder=tmp_path, cache=cache, settings=settings) for settings in requests]
    assert all(engine.from_cache for engine in engines)
    details = [engine.manifest.details for engine in engines]
    told = [[note.partition(" ")[0] for note in one.notes if FORM_HINT not in note] for one in details]
    assert told == [["optimization_level"], [], ["tiling"]]
    assert details[0].notes[1:] == ("optimization_level does nothing in TensorRT for RTX, which times no kernel",)
    assert [one.settings for one in details] == [settings.to_json() for settings in requests]


def test_a_log_that_cannot_be_read_is_an_error_and_not_silence(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtx_builder, "is_layer_list", lambda message: False)
    with pytest.raises(EngineError, match="the builder's log cannot be read: an engine has one list"):
        built(small, "fp16", "8.6", folder=tmp_path)
    assert not list(tmp_path.glob("*.engine*"))


class Stopping(Recorder):
    """Interrupts a build once it has told of progress twice."""

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        super().progress(task, done, total, detail)
        if len(self.steps) > 1:
            raise KeyboardInterrupt


def test_progress_is_told_and_a_build_can_be_stopped(small: Path, portable: Portable, tmp_path: Path) -> None:
    done = [step for step, _ in portable.observer.steps]
    assert done == sorted(done) and done[-1] > 0
    with pytest.raises(KeyboardInterrupt):
        built(small, "fp16", folder=tmp_path, observer=Stopping())
    assert not list(tmp_path.rglob("*.engine*"))


@pytest.fixture
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    yield


def test_without_a_runtime_named_the_machine_decides_and_says_why(
    small: Path, portable: Portable, cache: EngineCache, tmp_path: Path, no_tensorrt: None
) -> None:
    observer = Recorder()
    engine = build_engine(small, tmp_path / "x.engine", precision="fp16", cache=cache, observer=observer, rewrite=False)
    assert engine.manifest.details.runtime == RTX
    assert engine.path.read_bytes() == portable.engine.path.read_bytes()
    assert re.fullmatch(r"TensorRT for RTX [\d.]+ builds it: TensorRT is not installed", observer.notes[0])


def test_the_verdict_can_be_had_again_from_the_layers_alone(portable: Portable, tmp_path: Path) -> None:
    engine = portable.engine
    alone = tmp_path / "moved.json"
    alone.write_text(engine.layers.read_text())
    assert verdict_on(audit(read_layers(alone)), "fp16").to_json() == engine.verdict.to_json()
    assert not verdict_on(audit(read_layers(alone)), "int8").passed


@pytest.mark.parametrize("network", ["haff", "espnetv2"])
def test_the_multiply_accumulates_of_the_kernels_are_those_of_the_graph(network: str, tmp_path: Path) -> None:
    path = tmp_path / f"{network}.onnx"
    export_onnx(network_with_random_weights(network, class_spec("camvid"), seed=1), Resolution(64, 128), path)
    graph = GraphView(onnx.shape_inference.infer_shapes(onnx.load(path)))
    layers = read_layers(built(path, "fp32", "8.6", folder=tmp_path).path)
    bound = lower_bound(audit(layers), card_named("RTX 3090"))
    assert (bound.macs, bound.uncounted) == (sum(macs_by_node(graph).values()), 0)


@pytest.fixture(scope="module")
def silu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of SiLU and gates."""
    path = tmp_path_factory.mktemp("silu") / "silu.onnx"
    export_onnx(silu_network(), Resolution(64, 128), path)
    return path


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
