"""Every name of TensorRT's API that the source touches is in every version that rtseg claims, or is asked for first."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import textwrap
from pathlib import Path

import pytest
from tensorrt_api import DATA, VERSIONS, Signature, versions
from tensorrt_source import findings as findings_in
from tensorrt_types import Source

ROOT = Path(__file__).resolve().parents[2]
FULL = ROOT.parent / "shared" / "trt_api"


def findings(text: str, **others: str) -> list[str]:
    """Return what is found in a module, written with its imports left out, and in others beside it."""
    head = "from __future__ import annotations\nfrom typing import Any\nimport tensorrt as trt\n"
    texts = {"rtseg.planted": head + textwrap.dedent(text)}
    texts |= {f"rtseg.{name}": textwrap.dedent(other) for name, other in others.items()}
    return [finding.text for finding in findings_in(Source(texts))]


# What the source is held against


@pytest.mark.parametrize("name", VERSIONS)
def test_the_reduced_api_is_made_from_the_full_one(name: str) -> None:
    path = FULL / f"{name}.json"
    if not path.exists():
        pytest.skip("the full files are not beside this checkout")
    spec = importlib.util.spec_from_file_location("reduce", DATA / "reduce.py")
    assert spec is not None and spec.loader is not None
    reduce = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reduce)
    content = path.read_bytes()
    made = reduce.reduced(json.loads(content), hashlib.sha256(content).hexdigest())
    assert made == json.loads((DATA / f"{name}.json").read_text())


def test_the_versions_are_the_oldest_to_the_newest_that_are_claimed() -> None:
    assert [version.number[:2] for version in versions()] == [(8, 5), (8, 6), (10, 0), (10, 3), (10, 16), (11, 4)]


def test_the_api_is_that_of_the_versions() -> None:
    """A few facts that everything else rests on, so that an empty file cannot pass."""
    having = {
        (owner, name): [version.name for version in versions() if version.member(owner, name)]
        for owner, name in (
            ("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH"),
            ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
            ("BuilderFlag", "FP16"),
            ("IExecutionContext", "execute_async_v2"),
            ("IExecutionContext", "execute_async_v3"),
            ("IBuilderConfig", "progress_monitor"),
        )
    }
    assert list(having.values()) == [
        list(VERSIONS[:5]),
        list(VERSIONS[2:]),
        list(VERSIONS[:5]),
        list(VERSIONS[:2]),
        list(VERSIONS),
        list(VERSIONS[2:]),
    ]


def test_a_signature_tells_what_must_be_given() -> None:
    signature = Signature.parse("(network: INetworkDefinition, flags=) -> ICudaEngine")
    assert signature.names == ("network", "flags")
    assert signature.required == {"network"}
    assert (signature.kinds, signature.result) == ({"network": "INetworkDefinition"}, "ICudaEngine")


# Our source


@pytest.fixture(scope="module")
def source() -> Source:
    return Source.below(ROOT / "rtseg")


def test_the_source_uses_nothing_that_a_claimed_version_lacks(source: Source) -> None:
    assert [str(found) for found in findings_in(source) if not found.text.startswith("not followed")] == []


def test_the_source_uses_nothing_that_cannot_be_followed(source: Source) -> None:
    assert [str(found) for found in findings_in(source) if found.text.startswith("not followed")] == []


def test_the_walk_meets_the_calls_of_a_build_and_of_a_run(source: Source) -> None:
    findings_in(source)
    met = {
        "tensorrt.Builder",
        "Builder.create_network",
        "Builder.build_serialized_network",
        "OnnxParser.parse",
        "IBuilderConfig.set_memory_pool_limit",
        "NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
        "ITimingCache.combine",
        "EngineInspector.get_engine_information",
        "Runtime.deserialize_cuda_engine",
        "ICudaEngine.get_tensor_format",
        "IExecutionContext.set_tensor_address",
        "IExecutionContext.execute_async_v3",
    }
    assert met <= source.touched


# Planted mistakes

BUILDING = """
    def build(logger: trt.Logger) -> None:
        builder = trt.Builder(logger)
        config = builder.create_builder_config()
"""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH))",
            "NetworkDefinitionCreationFlag.EXPLICIT_BATCH is not in TensorRT 11.4",
        ),
        ("config.set_flag(trt.BuilderFlag.FP16)", "BuilderFlag.FP16 is not in TensorRT 11.4"),
        ("config.progress_monitor = None", "IBuilderConfig.progress_monitor is not in TensorRT 8.5.3, 8.6.1"),
        ("config.max_workspace_size = 1", "IBuilderConfig.max_workspace_size is not in TensorRT 10.0.1"),
        ("builder.create_builder_confg()", "Builder.create_builder_confg is not in TensorRT 8.5.3, 8.6.1, 10.0.1"),
        ("builder.create_builder_config(0)", "Builder.create_builder_config takes () in TensorRT 8.5.3"),
        ("config.set_flag(flags=trt.BuilderFlag.TF32)", "IBuilderConfig.set_flag takes (flag) in TensorRT 8.5.3"),
        ("config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE)", "takes (pool, pool_size) in TensorRT 8.5.3"),
        ("config.set_flag(trt.MemoryPoolType.WORKSPACE)", "IBuilderConfig.set_flag takes (flag) in TensorRT 8.5.3"),
        ("builder.build_serialized_network(config, config)", "takes (network, config) in TensorRT 8.5.3"),
        ("builder.get_tensor_name(0)", "Builder.get_tensor_name is not in TensorRT 8.5.3"),
        ("config.num_optimization_profiles = 2", "cannot be set in TensorRT 8.5.3"),
        ("config.num_optimization_profiles()", "not followed: a property of TensorRT's is called"),
        ("trt.IHostMemory()", "IHostMemory cannot be made in TensorRT 8.5.3"),
        ("trt.Biulder(logger)", "tensorrt.Biulder is not in TensorRT 8.5.3"),
        ("trt.Builder()", "Builder takes (logger) in TensorRT 8.5.3"),
        ("if hasattr(config, 'max_aux_steams'): pass", "IBuilderConfig.max_aux_steams is in no version of TensorRT"),
        ("getattr(config, 'max_aux_steams', None)", "IBuilderConfig.max_aux_steams is in no version of TensorRT"),
        ("setattr(config, 'max_aux_streams', 1)", "IBuilderConfig.max_aux_streams is not in TensorRT 8.5.3"),
        ("[trt.BuilderFlag.INT8 for _ in range(1)]", "BuilderFlag.INT8 is not in TensorRT 11.4"),
        ("print(f'{builder.platform_has_fast_fp16}')", "Builder.platform_has_fast_fp16 is not in TensorRT 11.4"),
        ("with trt.Builder(logger) as other: pass", "Builder as a context manager is deprecated"),
    ],
)
def test_a_mistake_is_caught(line: str, told: str) -> None:
    found = findings(f"{BUILDING}\n        {line}\n")
    assert any(told in text for text in found), found


def test_the_same_lines_without_a_mistake_pass() -> None:
    assert (
        findings(f"{BUILDING}\n        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, pool_size=1)\n") == []
    )


def test_what_newer_versions_dropped_is_caught_through_an_attribute_of_our_class() -> None:
    text = """
        class Runner:
            def __init__(self, engine: trt.ICudaEngine) -> None:
                self._context = engine.create_execution_context()

            def infer(self) -> None:
                self._context.execute_async_v2([], 0)
    """
    assert findings(text) == ["IExecutionContext.execute_async_v2 is not in TensorRT 10.0.1, 10.3, 10.16.1, 11.4"]


def test_a_declared_attribute_a_property_and_a_list_are_followed() -> None:
    text = """
        class Runner:
            _contexts: list[trt.IExecutionContext]

            def __init__(self, engine: trt.ICudaEngine | None) -> None:
                self._engine = engine
                self._contexts.append(engine.create_execution_context())

            @property
            def first(self) -> trt.IExecutionContext:
                return self._contexts[0]

            def infer(self) -> None:
                self.first.execute_v3()
                self._contexts[0].execute_v4()
                [context.execute_v5() for context in self._contexts]
    """
    assert [text.split()[0] for text in findings(text)] == [
        "IExecutionContext.execute_v3",
        "IExecutionContext.execute_v4",
        "IExecutionContext.execute_v5",
    ]


def test_what_another_module_returns_is_followed_by_its_annotation() -> None:
    other = """
        from __future__ import annotations
        from collections.abc import Iterator
        from contextlib import contextmanager
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import tensorrt as trt

        def opened(runtime: trt.Runtime) -> trt.ICudaEngine:
            return runtime.deserialize_cuda_engine(b"")

        @contextmanager
        def lent(runtime: trt.Runtime) -> Iterator[trt.ICudaEngine]:
            yield opened(runtime)
    """
    text = """
        from rtseg.other import opened, lent
        def f(runtime: trt.Runtime) -> None:
            print(opened(runtime).num_bindings)
            with lent(runtime) as engine:
                print(engine.max_batch_size)
    """
    found = findings(text, other=other)
    assert [entry.split(" is not")[0] for entry in found] == ["ICudaEngine.num_bindings", "ICudaEngine.max_batch_size"]


def test_an_override_has_to_take_what_tensorrt_gives_it() -> None:
    text = """
        class Recorder(trt.ILogger):
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, msg: str) -> None:
                pass
    """
    assert findings(text) == ["ILogger.log is called with 2 arguments"]


def test_a_class_that_older_versions_lack_cannot_be_a_base_unasked() -> None:
    text = """
        class Monitor(trt.IProgressMonitor):
            def step_complete(self, phase_name: str, step: int) -> bool:
                return True
    """
    assert findings(text) == ["tensorrt.IProgressMonitor is not in TensorRT 8.5.3, 8.6.1"]


def test_a_module_imported_for_annotations_only_is_not_there_at_run_time() -> None:
    text = """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import tensorrt as trt

        def f() -> None:
            trt.Logger()
    """
    (found,) = findings_in(Source({"rtseg.planted": textwrap.dedent(text)}))
    assert found.text == "trt is not imported where it is used"


# Questions that are accepted

ACCEPTED = """
    if hasattr(config, "max_aux_streams"):
        config.max_aux_streams = 1
    ---
    if not hasattr(trt.BuilderFlag, "FP16"):
        raise ValueError
    config.set_flag(trt.BuilderFlag.FP16)
    ---
    names = trt.NetworkDefinitionCreationFlag
    flags = 1 << int(names.EXPLICIT_BATCH) if hasattr(names, "EXPLICIT_BATCH") else 0
    ---
    if hasattr(config, "progress_monitor") and config.progress_monitor is None:
        trt.IProgressMonitor()
    ---
    if not hasattr(config, "progress_monitor") or config.progress_monitor is None:
        pass
    ---
    flag = getattr(trt.BuilderFlag, "INT8", None)
    if flag is not None:
        config.set_flag(flag)
    ---
    if tensorrt_version() < (10, 0):
        config.set_flag(trt.BuilderFlag.STRICT_TYPES)
    ---
    knows = hasattr(config, "tiling_optimization_level")
    if knows:
        config.tiling_optimization_level = trt.TilingOptimizationLevel.FAST
    ---
    if hasattr(trt.BuilderFlag, "FP16"):
        config.set_flag(trt.BuilderFlag.INT8)
"""


@pytest.mark.parametrize("body", [textwrap.dedent(part) for part in textwrap.dedent(ACCEPTED).split("---\n")])
def test_what_is_asked_for_first_may_be_used(body: str) -> None:
    function = "def f(config: trt.IBuilderConfig) -> None:\n" + textwrap.indent(body, "    ")
    assert findings(f"from rtseg.tensorrt.release import tensorrt_version\n{function}") == []


@pytest.mark.parametrize(
    "condition",
    ["not hasattr(config, 'progress_monitor')", "hasattr(config, 'max_aux_streams')", "tensorrt_version() < (10, 0)"],
)
def test_the_wrong_question_does_not_help(condition: str) -> None:
    text = f"def f(config: trt.IBuilderConfig) -> None:\n    if {condition}:\n        config.progress_monitor = None\n"
    assert any("IBuilderConfig.progress_monitor is not in TensorRT" in found for found in findings(text))


def test_past_an_early_return_only_the_other_versions_are_left() -> None:
    text = """
        def f(config: trt.IBuilderConfig) -> None:
            if hasattr(config, "progress_monitor"):
                return
            config.max_workspace_size = 1
            config.builder_optimization_level = 1
    """
    assert findings(text) == ["IBuilderConfig.builder_optimization_level is not in TensorRT 8.5.3"]


def test_a_question_that_only_one_side_of_a_branch_asked_is_forgotten_after_it() -> None:
    text = """
        def f(config: trt.IBuilderConfig, wanted: bool) -> None:
            known = hasattr(config, "progress_monitor") if wanted else True
            if known:
                config.progress_monitor = None
    """
    assert findings(text) == ["IBuilderConfig.progress_monitor is not in TensorRT 8.5.3, 8.6.1"]


# What cannot be followed


@pytest.mark.parametrize(
    "line",
    [
        "anything.num_layers",
        "anything.num_layers = 1",
        "config.profile_stream.handle",
        "getattr(trt.BuilderFlag, name)",
        "hasattr(config, name)",
        "config.set_flag(*[])",
        "config.set_flag(**{})",
        "elsewhere.call(config)",
        "taken(config)",
        "return config",
        "kept: Any = config",
        "elsewhere.call(config.set_flag)",
        "plain_list[0] = config",
        "elsewhere.call([config])",
    ],
)
def test_what_cannot_be_followed_is_told(line: str) -> None:
    text = (
        "import elsewhere\n"
        "def taken(value: Any) -> None: pass\n"
        f"def f(config: trt.IBuilderConfig, anything: Any, name: str, plain_list: list[int]) -> None:\n    {line}\n"
    )
    found = findings(text)
    assert len(found) == 1 and found[0].startswith("not followed: "), found


def test_a_value_of_any_type_is_no_concern_of_a_module_without_tensorrt() -> None:
    text = "from typing import Any\ndef f(anything: Any) -> None:\n    anything.num_layers\n"
    assert findings_in(Source({"rtseg.plain": text})) == []
