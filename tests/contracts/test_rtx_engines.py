"""What an engine of TensorRT for RTX proves, what its files say, and what is refused: by NVIDIA's own compiler."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest

from rtseg.artifacts.manifest import read_manifest
from rtseg.engines import rtx_builder
from rtseg.engines.building import FORM_HINT, build_engine
from rtseg.engines.engine_cache import EngineCache
from rtseg.engines.engine_file import BuiltEngine
from rtseg.engines.layer_audit import audit
from rtseg.engines.layers_file import read_layers
from rtseg.engines.lowering import lower as lowering
from rtseg.engines.verdict import verdict_on
from rtseg.errors import EngineError, QuantizationError
from rtseg.runners.tensorrt.module import RTX
from tests.contracts.rtx_builds import built
from tests.contracts.rtx_log_count import count
from tests.observers import Recorder

pytestmark = pytest.mark.usefixtures("rtx_compiler")

PORTABLE = ("8.6", "8.9", "12.0", "12.1")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    """A cache with what `ampere` and `portable` are."""
    return EngineCache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def ampere(small_affnet: Path, cache: EngineCache, tmp_path_factory: pytest.TempPathFactory) -> BuiltEngine:
    """The small network in FP16 for compute capability 8.6; not to be changed."""
    return built(small_affnet, "fp16", "8.6", folder=tmp_path_factory.mktemp("ampere"), cache=cache)


class Portable(NamedTuple):
    engine: BuiltEngine
    observer: Recorder


@pytest.fixture(scope="module")
def portable(small_affnet: Path, cache: EngineCache, tmp_path_factory: pytest.TempPathFactory) -> Portable:
    """The small network in FP16 for all there is, which takes five builds, and what was told meanwhile."""
    observer, folder = Recorder(), tmp_path_factory.mktemp("portable")
    return Portable(built(small_affnet, "fp16", folder=folder, cache=cache, observer=observer), observer)


# The proof


@pytest.mark.parametrize(("precision", "capabilities"), [("fp32", ("8.6",)), ("fp16", ("12.0",)), ("fp16", ("7.5",))])
def test_the_account_is_that_of_a_reader_of_the_log_written_separately(
    small_affnet: Path, precision: str, capabilities: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, message = with_its_log(small_affnet, precision, capabilities, tmp_path, monkeypatch)
    require_equal_counts(engine, message)


def test_the_account_of_an_int8_engine_is_that_of_the_other_reader(
    int8_affnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, message = with_its_log(int8_affnet, "int8", ("8.9",), tmp_path, monkeypatch)
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
    small_affnet: Path, precision: str, capabilities: tuple[str, ...], tmp_path: Path
) -> None:
    first, second = (built(small_affnet, precision, *capabilities, folder=tmp_path / part) for part in "ab")
    assert not first.from_cache and not second.from_cache
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.manifest.sha256 == second.manifest.sha256


def test_two_builds_in_int8_are_byte_equal(int8_affnet: Path, tmp_path: Path) -> None:
    first, second = (built(int8_affnet, "int8", "8.6", folder=tmp_path / part) for part in "ab")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_the_compiler_makes_fp16_arithmetic_of_int8_for_turing_and_the_proof_sees_it(
    int8_affnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lowering refuses up front, let through to the real compiler."""
    monkeypatch.setattr(lowering, "TURING", (0, 0))
    with pytest.raises(EngineError, match=r"were requested in int8 and built in fp16 .* silently"):
        built(int8_affnet, "int8", "7.5", folder=tmp_path)
    assert not list(tmp_path.glob("*.engine"))
    monkeypatch.undo()
    with pytest.raises(QuantizationError, match=r"INT8 for compute capability 7\.5 is not built"):
        built(int8_affnet, "int8", "7.5", folder=tmp_path)


def test_a_precision_that_the_compiler_was_not_given_fails_and_leaves_no_file(
    small_affnet: Path, tmp_path: Path
) -> None:
    """An FP32 graph passed off as FP16."""
    compiler = rtx_compiler_of("8.6")
    from rtseg.engines.building import compile_engine

    ready = replace(compiler.ready(small_affnet, "fp32", rewrite=False), precision="fp16")
    manifest = read_manifest(small_affnet, kind="onnx")
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
    small_affnet: Path, portable: Portable, cache: EngineCache, tmp_path: Path
) -> None:
    engine = portable.engine
    assert engine.manifest.device == "GPUs of compute capability 8.6, 8.9, 12.0, 12.1 and newer"
    assert tuple(read_layers(engine.path).alone) == PORTABLE
    again = built(small_affnet, "fp16", folder=tmp_path, cache=cache)
    assert again.from_cache and again.path.read_bytes() == engine.path.read_bytes()


def test_the_graph_that_the_compiler_was_given_can_be_kept(
    small_affnet: Path, ampere: BuiltEngine, cache: EngineCache, tmp_path: Path
) -> None:
    engine = built(small_affnet, "fp16", "8.6", folder=tmp_path, cache=cache, keep_graph=tmp_path / "kept.onnx")
    assert engine.from_cache and engine.path.read_bytes() == ampere.path.read_bytes()
    kept = onnx.load(tmp_path / "kept.onnx")
    onnx.checker.check_model(kept, full_check=True)
    asked = read_layers(engine.path).asked
    products = [node for node in kept.graph.node if node.op_type in ("Conv", "ConvTranspose", "MatMul", "Gemm")]
    assert list(asked) == [node.name for node in products]
    with pytest.raises(EngineError, match="the graph would overwrite"):
        built(small_affnet, "fp16", "8.6", folder=tmp_path, keep_graph=engine.path)


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
    small_affnet: Path, tmp_path: Path, capabilities: tuple[str, ...], told: str
) -> None:
    with pytest.raises(EngineError, match=told):
        built(small_affnet, "fp16", *capabilities, folder=tmp_path)
    assert not list(tmp_path.glob("*.engine*"))


def test_the_compilers_refusal_is_one_line_in_its_own_words(
    tmp_path: Path, small_affnet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lowering, "without_fp32_products", lambda model: (model, 0))
    with pytest.raises(
        EngineError, match=r"capability 7\.5 does not support .*MatMul.* \(FP32 GEMM is not supported\)"
    ):
        built(small_affnet, "fp32", "7.5", folder=tmp_path)


def test_too_little_workspace_is_told_in_one_line(small_affnet: Path, tmp_path: Path) -> None:
    from rtseg.engines.settings import BuildSettings

    with pytest.raises(EngineError, match="no kernel fits into the workspace"):
        built(small_affnet, "fp16", "8.6", folder=tmp_path, settings=BuildSettings(workspace_mib=1))


def test_settings_for_other_gpus_are_refused(small_affnet: Path, tmp_path: Path) -> None:
    from rtseg.engines.settings import BuildSettings

    with pytest.raises(EngineError, match="TensorRT for RTX has no hardware_compatibility"):
        built(
            small_affnet, "fp16", "8.6", folder=tmp_path, settings=BuildSettings(hardware_compatibility="ampere_plus")
        )


def test_settings_that_do_nothing_find_the_engine_and_are_told_to_who_asked_for_them(
    small_affnet: Path, ampere: BuiltEngine, cache: EngineCache, tmp_path: Path
) -> None:
    from rtseg.engines.settings import BuildSettings

    requests = [BuildSettings(optimization_level=5), BuildSettings(timing_cache=False), BuildSettings(tiling="full")]
    engines = [
        built(small_affnet, "fp16", "8.6", folder=tmp_path, cache=cache, settings=settings) for settings in requests
    ]
    assert all(engine.from_cache for engine in engines)
    details = [engine.manifest.details for engine in engines]
    told = [[note.partition(" ")[0] for note in one.notes if FORM_HINT not in note] for one in details]
    assert told == [["optimization_level"], [], ["tiling"]]
    assert details[0].notes[1:] == ("optimization_level does nothing in TensorRT for RTX, which times no kernel",)
    assert [one.settings for one in details] == [settings.to_json() for settings in requests]


def test_a_log_that_cannot_be_read_is_an_error_and_not_silence(
    small_affnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtx_builder, "is_layer_list", lambda message: False)
    with pytest.raises(EngineError, match="the builder's log cannot be read: an engine has one list"):
        built(small_affnet, "fp16", "8.6", folder=tmp_path)
    assert not list(tmp_path.glob("*.engine*"))


class Stopping(Recorder):
    """Interrupts a build once it has told of progress twice."""

    def progress(self, task: str, done: float, total: float | None, detail: str = "") -> None:
        super().progress(task, done, total, detail)
        if len(self.steps) > 1:
            raise KeyboardInterrupt


def test_progress_is_told_and_a_build_can_be_stopped(small_affnet: Path, portable: Portable, tmp_path: Path) -> None:
    done = [step for step, _ in portable.observer.steps]
    assert done == sorted(done) and done[-1] > 0
    with pytest.raises(KeyboardInterrupt):
        built(small_affnet, "fp16", folder=tmp_path, observer=Stopping())
    assert not list(tmp_path.rglob("*.engine*"))


@pytest.fixture
def no_tensorrt(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    yield


def test_without_a_runtime_named_the_machine_decides_and_says_why(
    small_affnet: Path, portable: Portable, cache: EngineCache, tmp_path: Path, no_tensorrt: None
) -> None:
    observer = Recorder()
    engine = build_engine(
        small_affnet, tmp_path / "x.engine", precision="fp16", cache=cache, observer=observer, rewrite=False
    )
    assert engine.manifest.details.runtime == RTX
    assert engine.path.read_bytes() == portable.engine.path.read_bytes()
    assert re.fullmatch(r"TensorRT for RTX [\d.]+ builds it: TensorRT is not installed", observer.notes[0])


def test_the_verdict_can_be_had_again_from_the_layers_alone(portable: Portable, tmp_path: Path) -> None:
    engine = portable.engine
    alone = tmp_path / "moved.json"
    alone.write_text(engine.layers.read_text())
    assert verdict_on(audit(read_layers(alone)), "fp16").to_json() == engine.verdict.to_json()
    assert not verdict_on(audit(read_layers(alone)), "int8").passed
