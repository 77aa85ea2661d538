"""A build, call by call, against a stand-in made from the API of each version: no GPU is needed to get these right."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rtseg.engines.builder import build_plan
from rtseg.engines.plan import Plan, PlanRequest
from rtseg.engines.progress import BuildProgress
from rtseg.engines.settings import BuildSettings
from rtseg.engines.timing_cache import TIMES
from rtseg.errors import EngineError
from tests.contracts.tensorrt_api import Version, versions
from tests.contracts.tensorrt_double import Recorded, tensorrt_double

REQUEST = PlanRequest(b"graph", False, (), BuildSettings(), None)
EVERYTHING = BuildSettings(512, 5, 2, "none", "fast", 8, False, False, False)


class Installed(NamedTuple):
    version: Version
    recorded: Recorded

    def names(self, owner: str) -> dict[str, int]:
        """Return an enumeration of this version."""
        return {name: value for name, value in self.version.classes[owner].items() if isinstance(value, int)}

    def has(self, owner: str, name: str) -> bool:
        return self.version.member(owner, name) is not None


@pytest.fixture(params=versions(), ids=lambda version: version.name)
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installed]:
    """A version whose parser and builder succeed."""
    module, recorded = tensorrt_double(request.param)
    recorded.answers.update(
        {
            "OnnxParser.parse": lambda parser, graph: True,
            "INetworkDefinition.num_inputs": lambda network: 1,
            "ITensor.shape": lambda tensor: (1, 3, 64, 96),
            "ITensor.name": lambda tensor: "input",
            "Builder.build_serialized_network": lambda builder, network, config: b"engine",
            "EngineInspector.get_engine_information": lambda inspector, form: '{"Layers": []}',
            "IBuilderConfig.get_tactic_sources": lambda config: 0b11111,
            "IBuilderConfig.set_timing_cache": lambda config, cache, ignore: True,
            "ITimingCache.serialize": lambda cache: b"times of this build",
        }
    )
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    yield Installed(request.param, recorded)


def built(request: PlanRequest = REQUEST) -> Plan:
    return build_plan(request, BuildProgress())


def test_a_build_gives_the_engine_and_what_the_inspector_tells(installed: Installed) -> None:
    plan = built()
    assert (plan.content, plan.layers, plan.notes) == (b"engine", '{"Layers": []}', ())
    assert installed.recorded.arguments("OnnxParser.parse") == [(b"graph",)]
    assert repr(installed.recorded.set["IBuilderConfig.profiling_verbosity"]) == "ProfilingVerbosity.DETAILED"
    assert installed.recorded.arguments("Runtime.deserialize_cuda_engine") == [(b"engine",)]


def test_the_network_is_of_explicit_batch_where_that_is_asked_for(installed: Installed) -> None:
    built()
    flags = installed.names("NetworkDefinitionCreationFlag")
    expected = 1 << flags["EXPLICIT_BATCH"] if "EXPLICIT_BATCH" in flags else 0
    assert installed.recorded.arguments("Builder.create_network") == [(expected,)]


def test_a_typed_graph_makes_a_strongly_typed_network_or_an_error(installed: Installed) -> None:
    flags = installed.names("NetworkDefinitionCreationFlag")
    request = replace(REQUEST, typed=True)
    if installed.version.number < (10,):
        with pytest.raises(EngineError, match="no strongly typed networks; got 8"):
            built(request)
        return
    built(request)
    ((asked,),) = installed.recorded.arguments("Builder.create_network")
    assert asked & 1 << flags["STRONGLY_TYPED"]
    assert asked & ~(1 << flags["STRONGLY_TYPED"]) == (1 << flags["EXPLICIT_BATCH"] if "EXPLICIT_BATCH" in flags else 0)


def test_flags_of_precision_are_set_or_an_error(installed: Installed) -> None:
    request = replace(REQUEST, builder_flags=("FP16", "INT8"))
    if installed.version.number >= (11,):
        with pytest.raises(EngineError, match="no flags of precision; got 11"):
            built(request)
        return
    built(request)
    assert repr(installed.recorded.arguments("IBuilderConfig.set_flag")) == "[(BuilderFlag.FP16,), (BuilderFlag.INT8,)]"


def test_settings_of_nothing_changes_nothing_of_tensorrts(installed: Installed) -> None:
    built()
    done = {name.removeprefix("IBuilderConfig.") for name in installed.recorded.set}
    assert done - {"progress_monitor"} == {"profiling_verbosity", "avg_timing_iterations"}
    assert installed.recorded.set["IBuilderConfig.avg_timing_iterations"] == 1


def test_each_wish_of_the_settings_is_set_or_told_to_be_left_out(installed: Installed) -> None:
    assert {entry.name for entry in fields(BuildSettings) if getattr(EVERYTHING, entry.name) != entry.default} == {
        entry.name for entry in fields(BuildSettings)
    } - {"hardware_compatibility"}
    notes = built(replace(REQUEST, settings=EVERYTHING)).notes
    recorded, told = installed.recorded, " ".join(notes)
    for wish, attribute in (
        ("optimization_level", "builder_optimization_level"),
        ("max_aux_streams", "max_aux_streams"),
        ("tiling", "tiling_optimization_level"),
    ):
        assert (f"IBuilderConfig.{attribute}" in recorded.set) == installed.has("IBuilderConfig", attribute)
        assert (f"left out: {wish}" in told) != installed.has("IBuilderConfig", attribute)
    ((pool, size),) = recorded.arguments("IBuilderConfig.set_memory_pool_limit")
    assert (repr(pool), size) == ("MemoryPoolType.WORKSPACE", 512 << 20)
    assert repr(recorded.arguments("IBuilderConfig.clear_flag")) == "[(BuilderFlag.TF32,)]"
    assert repr(recorded.arguments("IBuilderConfig.set_flag")) == "[(BuilderFlag.DISABLE_TIMING_CACHE,)]"


def test_without_external_tactics_neither_cudnn_nor_cublas_is_left(installed: Installed) -> None:
    built(replace(REQUEST, settings=BuildSettings(external_tactics=False)))
    asked = installed.recorded.arguments("IBuilderConfig.set_tactic_sources")
    sources = installed.names("TacticSource")
    if "CUDNN" not in sources:
        assert asked == []
        return
    unwanted = sum(1 << sources[name] for name in ("CUDNN", "CUBLAS", "CUBLAS_LT"))
    assert asked == [(0b11111 & ~unwanted,)]


@pytest.mark.parametrize(("level", "since"), [("ampere_plus", (8, 6)), ("same_compute_capability", (10, 16))])
def test_other_gpus_are_allowed_or_it_is_an_error(installed: Installed, level: str, since: tuple[int, int]) -> None:
    request = replace(REQUEST, settings=BuildSettings(hardware_compatibility=level))
    if installed.version.number < since:
        with pytest.raises(EngineError, match="this TensorRT"):
            built(request)
        return
    built(request)
    shown = repr(installed.recorded.set["IBuilderConfig.hardware_compatibility_level"])
    assert shown == f"HardwareCompatibilityLevel.{level.upper()}"


def test_progress_is_heard_where_tensorrt_can_tell(installed: Installed) -> None:
    progress = BuildProgress()

    def build(builder: Any, network: Any, config: Any) -> bytes:
        monitor = installed.recorded.set.get("IBuilderConfig.progress_monitor")
        if monitor is not None:
            monitor.phase_start("building", None, 2)
            assert monitor.step_complete("building", 0)
        return b"engine"

    installed.recorded.answers["Builder.build_serialized_network"] = build
    build_plan(REQUEST, progress)
    can_tell = installed.version.number >= (10,)
    assert (progress.heard, progress.fraction()) == (can_tell, 0.5 if can_tell else 0)


def test_the_parser_lives_as_long_as_the_build_for_it_owns_the_weights(installed: Installed) -> None:
    alive: list[bool] = []

    def parse(parser: Any, graph: bytes) -> bool:
        living = weakref.ref(parser)
        del parser  # which this frame would keep alive otherwise

        def build(builder: Any, network: Any, config: Any) -> bytes:
            alive.append(living() is not None)
            return b"engine"

        installed.recorded.answers["Builder.build_serialized_network"] = build
        return True

    installed.recorded.answers["OnnxParser.parse"] = parse
    built()
    assert alive == [True]


def test_a_cancelled_build_is_an_interrupt_and_no_error(installed: Installed) -> None:
    progress = BuildProgress()
    installed.recorded.answers["Builder.build_serialized_network"] = lambda *_: progress.cancel()
    with pytest.raises(KeyboardInterrupt):
        build_plan(REQUEST, progress)


# Refusals


def say(installed: Installed, builder_or_parser: Any, *lines: tuple[str, str]) -> None:
    """Let TensorRT log through the logger that it was given."""
    ((logger,), *_) = installed.recorded.arguments("Builder.__init__")
    for severity, line in lines:
        logger.log(getattr(sys.modules["tensorrt"].ILogger, severity), line)


def test_a_graph_that_the_parser_refuses_is_told_with_its_operator(installed: Installed) -> None:
    def parse(parser: Any, graph: bytes) -> bool:
        say(installed, parser, ("INFO", "No importer registered for op: MaxUnpool. Attempting to import as plugin."))
        return False

    installed.recorded.answers |= {
        "OnnxParser.parse": parse,
        "OnnxParser.num_errors": lambda parser: 1,
        "ParserError.node": lambda error: 7,
        "ParserError.desc": lambda error: "Assertion failed: creator",
    }
    with pytest.raises(
        EngineError, match="parser refuses the graph: TensorRT's ONNX parser does not know the operator Max"
    ):
        built()
    installed.recorded.answers["OnnxParser.parse"] = lambda parser, graph: False
    with pytest.raises(EngineError, match="got from TensorRT: node 7: Assertion failed: creator"):
        built()


def test_a_build_that_fails_is_told_with_its_cause(installed: Installed) -> None:
    def build(builder: Any, network: Any, config: Any) -> None:
        line = "2: [virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (no further information)"
        say(installed, builder, ("ERROR", line))

    installed.recorded.answers["Builder.build_serialized_network"] = build
    with pytest.raises(
        EngineError, match="could not build the engine: not enough GPU memory; got from TensorRT: OutOf"
    ):
        built()


def test_an_engine_that_does_not_load_is_refused(installed: Installed) -> None:
    installed.recorded.answers["Runtime.deserialize_cuda_engine"] = lambda runtime, content: None
    with pytest.raises(EngineError, match="TensorRT refuses the engine"):
        built()


def test_a_dynamic_input_is_refused(installed: Installed) -> None:
    installed.recorded.answers["ITensor.shape"] = lambda tensor: (-1, 3, 64, 96)
    with pytest.raises(EngineError, match=r"the input input has a dynamic shape; got \(-1, 3, 64, 96\)"):
        built()


# The timing cache


def test_the_times_of_earlier_builds_are_given_and_those_of_this_one_kept(installed: Installed, tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    TIMES.write(path, b"earlier")
    built(replace(REQUEST, timing_cache=path))
    recorded = installed.recorded
    assert recorded.arguments("IBuilderConfig.create_timing_cache") == [(b"earlier",), (b"earlier",)]
    assert [ignore for _, ignore in recorded.arguments("IBuilderConfig.set_timing_cache")] == [False]
    assert [ignore for _, ignore in recorded.arguments("ITimingCache.combine")] == [False]
    assert TIMES.read(path) == b"times of this build"


def test_times_that_tensorrt_does_not_take_are_left_aside(installed: Installed, tmp_path: Path) -> None:
    path = tmp_path / "a.timing"
    TIMES.write(path, b"of another GPU")
    answers = iter([False, True])
    installed.recorded.answers["IBuilderConfig.set_timing_cache"] = lambda *_: next(answers)
    built(replace(REQUEST, timing_cache=path))
    given = [content for (content,) in installed.recorded.arguments("IBuilderConfig.create_timing_cache")]
    assert given[:2] == [b"of another GPU", b""]


def test_a_cache_that_cannot_be_written_is_a_note_and_no_error(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    plan = built(replace(REQUEST, timing_cache=tmp_path / "file" / "a.timing"))
    assert plan.content == b"engine"
    assert "the next build will time every kernel again: cannot write" in plan.notes[0]
