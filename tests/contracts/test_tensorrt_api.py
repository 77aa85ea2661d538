"""Every name of TensorRT's API that the source touches is in every version that rtseg claims, or is asked for first.

Of TensorRT for RTX too, where the source does not say that a place is for one of the two products.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import textwrap
from pathlib import Path

import pytest

from tests.contracts.tensorrt_api import DATA, RTX_VERSIONS, VERSIONS, Signature, every_version, in_words, versions
from tests.contracts.tensorrt_source import findings as findings_in
from tests.contracts.tensorrt_types import Source
from tests.contracts.tensorrt_uses import Finding
from tests.outside import outside

ROOT = Path(__file__).resolve().parents[2]
FULL = outside("trt_api")


def findings(text: str, **others: str) -> list[str]:
    """Return what is found in a module, written with its imports left out, and in others beside it."""
    head = "from __future__ import annotations\nfrom typing import Any\nimport tensorrt as trt\n"
    texts = {"rtseg.planted": head + textwrap.dedent(text)}
    texts |= {f"rtseg.{name}": textwrap.dedent(other) for name, other in others.items()}
    return [finding.text for finding in findings_in(Source(texts))]


def findings_in_both(text: str, **others: str) -> list[str]:
    """Return what is found in a module that is given the module of either product, and in others beside it."""
    head = """
        from __future__ import annotations
        from typing import TYPE_CHECKING, Any
        from rtseg.runners.tensorrt.module import TensorRt, TensorRtRtx
        if TYPE_CHECKING:
            import tensorrt as trt
    """
    texts = {"rtseg.planted": textwrap.dedent(head) + textwrap.dedent(text)}
    texts |= {f"rtseg.{name}": textwrap.dedent(other) for name, other in others.items()}
    return [finding.text for finding in findings_in(Source(texts))]


# What the source is held against


@pytest.mark.data("trt_api")
@pytest.mark.parametrize("name", VERSIONS)
def test_the_reduced_api_is_made_from_the_full_one(name: str) -> None:
    spec = importlib.util.spec_from_file_location("reduce", DATA / "reduce.py")
    assert spec is not None and spec.loader is not None
    reduce = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reduce)
    content = (FULL / f"{name}.json").read_bytes()
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


def test_the_versions_of_both_products_are_told_in_their_order() -> None:
    assert [version.name for version in every_version()] == [*VERSIONS, *RTX_VERSIONS]
    assert in_words(reversed(every_version())) == (
        "TensorRT 8.5.3, 8.6.1, 10.0.1, 10.3, 10.16.1, 11.4 and TensorRT for RTX 1.4, 1.5, 1.6, 1.7"
    )
    assert [str(version) for version in every_version()[5:7]] == ["TensorRT 11.4", "TensorRT for RTX 1.4"]


def test_a_signature_tells_what_must_be_given() -> None:
    signature = Signature.parse("(network: INetworkDefinition, flags=) -> ICudaEngine")
    assert signature.names == ("network", "flags")
    assert signature.required == {"network"}
    assert (signature.kinds, signature.result) == ({"network": "INetworkDefinition"}, "ICudaEngine")


# Our source


@pytest.fixture(scope="module")
def source() -> Source:
    return Source.below(ROOT / "rtseg")


@pytest.fixture(scope="module")
def found(source: Source) -> list[Finding]:
    """What is found in the source. Meanwhile the source notes what it touches."""
    return findings_in(source)


def test_the_source_uses_nothing_that_a_claimed_version_lacks(found: list[Finding]) -> None:
    assert [str(each) for each in found if not each.text.startswith("not followed")] == []


def test_the_source_uses_nothing_that_cannot_be_followed(found: list[Finding]) -> None:
    assert [str(each) for each in found if each.text.startswith("not followed")] == []


@pytest.mark.usefixtures("found")
def test_the_walk_meets_the_calls_of_a_build_and_of_a_run(source: Source) -> None:
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
    assert findings(f"from rtseg.runners.tensorrt.release import tensorrt_version\n{function}") == []


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


# Two products

ALL_OF_TENSORRT = "TensorRT 8.5.3, 8.6.1, 10.0.1, 10.3, 10.16.1, 11.4"
ALL_OF_RTX = "TensorRT for RTX 1.4, 1.5, 1.6, 1.7"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (
            "trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH",
            "NetworkDefinitionCreationFlag.EXPLICIT_BATCH is not in TensorRT 11.4 and TensorRT for RTX 1.5, 1.6, 1.7",
        ),
        (
            "config.set_flag(trt.BuilderFlag.FP16)",
            "BuilderFlag.FP16 is not in TensorRT 11.4 and TensorRT for RTX 1.5, 1.6, 1.7",
        ),
        ("config.progress_monitor = None", "IBuilderConfig.progress_monitor is not in TensorRT 8.5.3, 8.6.1"),
        (
            "config.num_compute_capabilities = 1",
            f"IBuilderConfig.num_compute_capabilities is not in {ALL_OF_TENSORRT}",
        ),
        ("trt.Biulder", f"tensorrt.Biulder is not in {ALL_OF_TENSORRT} and {ALL_OF_RTX}"),
        ("if hasattr(trt, 'Biulder'): pass", "tensorrt.Biulder is in no version of TensorRT"),
        ("elsewhere.call(trt)", "not followed: TensorRT is handed on: elsewhere.call(trt)"),
        ("taken(trt)", "not followed: the annotation of the parameter does not say TensorRT: taken(trt)"),
        ("return trt", "not followed: the annotation of what is returned does not say TensorRT: return trt"),
    ],
)
def test_a_mistake_in_what_serves_both_products_is_caught(line: str, told: str) -> None:
    text = (
        "import elsewhere\n"
        "def taken(trt: Any) -> None: pass\n"
        f"def f(trt: TensorRt, config: trt.IBuilderConfig) -> None:\n    {line}\n"
    )
    assert findings_in_both(text) == [told]


@pytest.mark.parametrize("version", ["8.5.3", "11.4", "for RTX 1.4", "for RTX 1.7"])
def test_a_call_is_held_against_the_signatures_of_both_products(version: str) -> None:
    found = findings_in_both("def f(trt: TensorRt, logger: trt.ILogger) -> None:\n    trt.Builder(logger, 1)\n")
    assert f"Builder takes (logger) in TensorRT {version}: trt.Builder(logger, 1)" in found
    assert len(found) == len(every_version())


def test_what_one_product_lacks_may_be_used_where_it_is_asked_for() -> None:
    text = """
        def f(trt: TensorRt, config: trt.IBuilderConfig, runtime: trt.Runtime) -> None:
            if hasattr(trt, "ComputeCapability"):
                config.num_compute_capabilities = 1
                config.set_compute_capability(trt.ComputeCapability.SM75, 0)
                runtime.get_engine_validity(b"")
            if hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH"):
                trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH
    """
    assert findings_in_both(text) == []


def test_an_object_is_of_the_versions_that_have_its_class() -> None:
    text = """
        def f(cache: trt.IRuntimeCache | None, monitor: trt.IProgressMonitor, config: trt.IBuilderConfig) -> None:
            cache.serialize()
            cache.serialise()
            monitor.phase_finish("building")
            config.num_compute_capabilities = 1
        def g(cache: trt.IRuntimeCache) -> None:
            import tensorrt as trt
            cache.serialize()
    """
    assert findings_in_both(text) == [
        f"IRuntimeCache.serialise is not in {ALL_OF_RTX}",
        f"IBuilderConfig.num_compute_capabilities is not in {ALL_OF_TENSORRT}",
        f"IRuntimeCache.serialize is not in {ALL_OF_TENSORRT}",
    ]


def test_the_annotation_of_a_module_comes_to_the_annotations_beside_it() -> None:
    text = """
        from rtseg.runners.tensorrt.module import TensorRt
        def f(config: api.IBuilderConfig, api: TensorRt) -> api.ICudaEngine:
            config.max_workspace_size = 1
        def g(config: trt.IBuilderConfig, trt) -> None:
            config.max_batch_size = 1
    """
    assert [found.split(" is not")[0] for found in findings(text)] == [
        "IBuilderConfig.max_workspace_size",
        "IBuilderConfig.max_batch_size",
    ]


RTX_ONLY = """
    config.num_compute_capabilities = 2
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    config.set_compute_capability(trt.ComputeCapability.SM121, 1)
    config.set_flag(trt.BuilderFlag.INT8)
"""
LOADING = """
    from __future__ import annotations
    from types import ModuleType
    from typing import cast

    TensorRt = ModuleType
    TensorRtRtx = ModuleType

    TENSORRT, RTX = "tensorrt", "tensorrt-rtx"

    def load_tensorrt(runtime: str) -> TensorRt:
        if runtime == RTX:
            return load_rtx()
        try:
            import tensorrt as trt
        except ImportError as error:
            raise ValueError from error
        return cast("TensorRt", trt)

    def load_rtx() -> TensorRtRtx:
        import tensorrt_rtx as trt
        return trt
"""


@pytest.mark.parametrize(
    ("parameters", "first"),
    [
        ("trt: TensorRtRtx, config: trt.IBuilderConfig", "pass"),
        ('trt: "TensorRtRtx", config: trt.IBuilderConfig', "pass"),
        ("trt: module.TensorRtRtx, config: trt.IBuilderConfig", "pass"),
        ("config: trt.IBuilderConfig", "import tensorrt_rtx as trt"),
        ("config: trt.IBuilderConfig", "trt = load_rtx()"),
        ("config: trt.IBuilderConfig", "trt = load_tensorrt(RTX)"),
        ("config: trt.IBuilderConfig", "trt: TensorRtRtx = load_tensorrt(RTX)"),
    ],
)
def test_what_is_for_rtx_alone_is_held_against_its_versions_alone(parameters: str, first: str) -> None:
    text = (
        "from rtseg.runners.tensorrt import module\n"
        "from rtseg.runners.tensorrt.module import RTX, load_rtx, load_tensorrt\n"
        f"def f({parameters}) -> None:\n    {first}\n{RTX_ONLY}"
    )
    assert findings_in_both(text, **{"runners.tensorrt.module": LOADING}) == [
        "ComputeCapability.SM121 is not in TensorRT for RTX 1.4",
        "BuilderFlag.INT8 is not in TensorRT for RTX 1.5, 1.6, 1.7",
    ]


def test_a_module_of_either_product_is_not_one_of_rtx() -> None:
    text = """
        from rtseg.runners.tensorrt.module import load_tensorrt
        def f() -> None:
            trt: TensorRtRtx = load_tensorrt("tensorrt-rtx")
    """
    (found,) = findings_in_both(text, **{"runners.tensorrt.module": LOADING})
    assert found.startswith("not followed: the annotation does not say TensorRT: trt: TensorRtRtx")


def test_a_module_that_may_be_none_tells_nothing_about_the_product() -> None:
    text = """
        def f(config: trt.IBuilderConfig, rtx: TensorRtRtx | None) -> None:
            config.num_compute_capabilities = 1
    """
    assert findings_in_both(text) == [f"IBuilderConfig.num_compute_capabilities is not in {ALL_OF_TENSORRT}"]


@pytest.mark.parametrize(
    "first", ["import tensorrt as trt", "from tensorrt import BuilderFlag", "trt = load_tensorrt(TENSORRT)"]
)
def test_past_tensorrt_itself_its_versions_alone_are_left(first: str) -> None:
    text = f"""
        from rtseg.runners.tensorrt.module import TENSORRT, load_tensorrt
        def f(config: trt.IBuilderConfig) -> None:
            config.progress_monitor = None
            {first}
            config.progress_monitor = None
            config.flags = config.num_compute_capabilities
    """
    found = findings_in_both(text, **{"runners.tensorrt.module": LOADING})
    told = "IBuilderConfig.progress_monitor is not in TensorRT 8.5.3, 8.6.1"
    assert found == [told, told, f"IBuilderConfig.num_compute_capabilities is not in {ALL_OF_TENSORRT}"]


def test_the_module_that_is_loaded_by_name_is_held_against_both_products() -> None:
    text = """
        from rtseg.runners.tensorrt.module import load_tensorrt
        def f(runtime: str) -> None:
            trt = load_tensorrt(runtime)
            trt.ComputeCapability
            trt.__version__
    """
    assert findings_in_both(text, **{"runners.tensorrt.module": LOADING}) == [
        f"tensorrt.ComputeCapability is not in {ALL_OF_TENSORRT}"
    ]


@pytest.mark.parametrize(
    "choice",
    [
        "    if wanted:\n        import tensorrt_rtx as trt\n    else:\n        import tensorrt as trt\n",
        "    try:\n        import tensorrt_rtx as trt\n    except ImportError:\n        import tensorrt as trt\n",
        "    while wanted:\n        import tensorrt as trt\n",
        "    for _ in range(1):\n        import tensorrt as trt\n",
    ],
)
def test_past_a_choice_of_two_modules_it_may_be_either(choice: str) -> None:
    text = f"def f(trt: TensorRt, wanted: bool) -> None:\n{choice}"
    found = findings_in_both(text + "    trt.KernelLaunchParams\n    trt.ComputeCapability\n")
    assert found == [
        f"tensorrt.KernelLaunchParams is not in TensorRT 8.5.3, 8.6.1, 10.0.1, 10.3 and {ALL_OF_RTX}",
        f"tensorrt.ComputeCapability is not in {ALL_OF_TENSORRT}",
    ]


def test_an_attribute_that_is_a_module_is_followed() -> None:
    text = """
        from dataclasses import dataclass
        @dataclass
        class Opened:
            api: TensorRt
            engine: trt.ICudaEngine

        class Context:
            def __init__(self, trt: TensorRt) -> None:
                self._trt = trt
            def runtime(self, logger: trt.ILogger) -> trt.Runtime:
                self._trt.CudaGraphStrategy
                return self._trt.Runtime(logger)

        def f(trt: TensorRt, engine: trt.ICudaEngine) -> None:
            Opened(trt, engine).api.EngineValidity
            Opened(engine, engine)
            Opened(trt, trt)
    """
    assert findings_in_both(text) == [
        f"tensorrt.CudaGraphStrategy is not in {ALL_OF_TENSORRT}",
        f"tensorrt.EngineValidity is not in {ALL_OF_TENSORRT}",
        "not followed: the annotation does not say ICudaEngine: Opened(engine, engine)",
        "not followed: the annotation does not say TensorRT: Opened(trt, trt)",
    ]


@pytest.mark.parametrize(
    "kept",
    [
        "    api: TensorRtRtx\n",
        "    def __init__(self, api: TensorRtRtx) -> None:\n        self.api = api\n",
        "    def __init__(self, api: TensorRtRtx) -> None:\n        self.api: TensorRtRtx = api\n",
    ],
)
def test_a_class_that_keeps_the_module_of_rtx_is_for_rtx_alone(kept: str) -> None:
    text = f"""
class Opened:
{kept}
    def look(self, runtime: trt.Runtime) -> None:
        runtime.get_engine_validity(b"")
        self.api.ComputeCapability.SM121

class Inheriting(Opened):
    def size(self, runtime: trt.Runtime) -> None:
        print(runtime.engine_header_size)

def f(opened: Opened, runtime: trt.Runtime) -> None:
    opened.look(runtime)

def g(trt: TensorRtRtx, runtime: trt.Runtime) -> None:
    Inheriting(trt).size(runtime)

def h(trt: TensorRt) -> None:
    Opened(trt)
"""
    told, handed = findings_in_both(text)
    assert told == "ComputeCapability.SM121 is not in TensorRT for RTX 1.4"
    assert handed.startswith("not followed: ") and handed.endswith("does not say TensorRT: Opened(trt)")


def test_a_class_that_is_made_with_the_module_of_rtx_is_for_rtx_alone() -> None:
    text = """
        class Opened:
            def __init__(self, trt: TensorRt, engine: trt.ICudaEngine) -> None:
                self.trt = trt
                self.engine = engine
            def context(self) -> trt.IExecutionContext:
                return self.engine.create_execution_context()

        class OpenedByRtx(Opened):
            def __init__(self, trt: TensorRtRtx, engine: trt.ICudaEngine) -> None:
                super().__init__(trt, engine)
                self.config = engine.create_runtime_config()
            def context(self) -> trt.IExecutionContext:
                super().context().execute_v3()
                return self.engine.create_execution_context(self.config)
            def load(self) -> None:
                self.engine.load_weights(b"")
    """
    assert findings_in_both(text) == [
        f"IExecutionContext.execute_v3 is not in {ALL_OF_RTX}",
        "ICudaEngine.load_weights is not in TensorRT for RTX 1.4, 1.5",
    ]


def test_a_class_does_not_keep_modules_of_two_products() -> None:
    text = """
        class Opened:
            one: TensorRt
            other: TensorRtRtx
    """
    assert findings_in_both(text) == [
        "not followed: a class that keeps two modules of TensorRT: class Opened:",
    ]


def test_what_super_gives_is_held_against_the_annotations() -> None:
    text = """
        class Base:
            def __init__(self, engine: Any) -> None: pass
        class Derived(Base):
            def __init__(self, engine: trt.ICudaEngine) -> None:
                super().__init__(engine)
    """
    assert findings_in_both(text) == [
        "not followed: the annotation of the parameter does not say ICudaEngine: super().__init__(engine)"
    ]


def test_a_local_name_of_a_method_is_no_attribute_of_its_class() -> None:
    text = """
        from rtseg.runners.tensorrt.module import load_rtx
        class Opened:
            def one(self) -> None:
                rtx: TensorRtRtx = load_rtx()
            def other(self, config: trt.IBuilderConfig) -> None:
                config.num_compute_capabilities = 1
    """
    assert findings_in_both(text, **{"runners.tensorrt.module": LOADING}) == [
        f"IBuilderConfig.num_compute_capabilities is not in {ALL_OF_TENSORRT}"
    ]


def test_a_module_may_be_handed_to_what_says_that_it_takes_it() -> None:
    text = """
        def both(trt: TensorRt, config: trt.IBuilderConfig) -> None: pass
        def rtx(trt: TensorRtRtx, config: trt.IBuilderConfig) -> None: pass
        def f(trt: TensorRt, config: trt.IBuilderConfig) -> None:
            both(trt, config)
            both(config=config, trt=trt)
            if hasattr(trt, "ComputeCapability"):
                rtx(trt, config)
        def g(trt: TensorRtRtx, config: trt.IBuilderConfig) -> None:
            both(trt, config)
            rtx(trt, config)
        def h(config: trt.IBuilderConfig) -> None:
            import tensorrt as trt
            both(trt, config)
        def i(config: trt.IBuilderConfig) -> None:
            rtx(load_rtx(), config)
    """
    source = f"from rtseg.runners.tensorrt.module import load_rtx\n{textwrap.dedent(text)}"
    assert findings_in_both(source, **{"runners.tensorrt.module": LOADING}) == []


def test_a_module_of_either_product_is_not_handed_to_what_is_for_rtx() -> None:
    text = """
        def rtx(trt: TensorRtRtx) -> None: pass
        def f(trt: TensorRt) -> None:
            rtx(trt)
        def g() -> None:
            import tensorrt
            rtx(tensorrt)
    """
    assert findings_in_both(text) == [
        "not followed: the annotation of the parameter does not say TensorRT: rtx(trt)",
        "not followed: the annotation of the parameter does not say tensorrt: rtx(tensorrt)",
    ]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("flagged(config)", "flagged is not for TensorRT for RTX 1.4, 1.5, 1.6, 1.7: flagged(config)"),
        ("aimed(config)", f"aimed is not for {ALL_OF_TENSORRT}: aimed(config)"),
        ("shown(kept)", "shown is not for TensorRT for RTX 1.4, 1.5, 1.6, 1.7: shown(kept)"),
        ("opened(b'')", "opened is not for TensorRT for RTX 1.4, 1.5, 1.6, 1.7: opened(b'')"),
        ("kept.flagged()", "flagged is not for TensorRT for RTX 1.4, 1.5, 1.6, 1.7: kept.flagged()"),
        ("kept.flags", "flags is not for TensorRT for RTX 1.4, 1.5, 1.6, 1.7: kept.flags"),
    ],
)
def test_objects_of_one_product_do_not_come_to_what_is_for_the_other(call: str, told: str) -> None:
    text = f"""
        class Kept:
            def __init__(self, config: trt.IBuilderConfig) -> None:
                self.config = config
            def flagged(self) -> None:
                import tensorrt as trt
            @property
            def flags(self) -> int:
                import tensorrt as trt
                return 0

        def flagged(config: trt.IBuilderConfig) -> None:
            import tensorrt as trt
        def shown(kept: Kept) -> None:
            import tensorrt as trt
        def aimed(config: trt.IBuilderConfig) -> None:
            import tensorrt_rtx as trt
        def opened(content: bytes) -> trt.ICudaEngine | None:
            import tensorrt as trt
            return None
        def release() -> str:
            import tensorrt as trt
            return str(trt.__version__)

        def f(trt: TensorRt, config: trt.IBuilderConfig, kept: Kept) -> None:
            release()
            {call}
    """
    assert findings_in_both(text) == [told]


def test_what_refuses_a_version_in_words_takes_it() -> None:
    text = """
        def set_flag(trt: TensorRt, config: trt.IBuilderConfig) -> None:
            if not hasattr(trt.BuilderFlag, "FP16"):
                raise ValueError
            config.set_flag(trt.BuilderFlag.FP16)
        def f(trt: TensorRt, config: trt.IBuilderConfig) -> None:
            set_flag(trt, config)
    """
    assert findings_in_both(text) == []


@pytest.mark.parametrize(
    "body",
    [
        "    import tensorrt\n    import tensorrt_rtx\n",
        "    import tensorrt_rtx\n",
        "    rtx = load_rtx()\n",
        "    if hasattr(trt, 'ComputeCapability'):\n        import tensorrt as trt\n",
        "    def inner(trt: TensorRt, rtx: TensorRtRtx) -> None: pass\n",
    ],
)
def test_two_products_in_one_place_are_not_followed(body: str) -> None:
    text = f"from rtseg.runners.tensorrt.module import load_rtx\ndef f(trt: TensorRt) -> None:\n{body}"
    found = findings_in_both(text, **{"runners.tensorrt.module": LOADING})
    assert found and all("not followed: " in entry for entry in found), found


def test_the_version_of_tensorrt_tells_nothing_about_rtx() -> None:
    text = """
        from rtseg.runners.tensorrt.release import tensorrt_version
        def f(config: trt.IBuilderConfig) -> None:
            if tensorrt_version() >= (10, 0):
                config.num_compute_capabilities = 1
            else:
                config.num_compute_capabilities = 1
            old = not tensorrt_version() >= (10, 0)
            if not old:
                config.num_compute_capabilities = 1
    """
    assert findings_in_both(text) == [
        "IBuilderConfig.num_compute_capabilities is not in TensorRT 10.0.1, 10.3, 10.16.1, 11.4",
        "IBuilderConfig.num_compute_capabilities is not in TensorRT 8.5.3, 8.6.1",
        f"IBuilderConfig.num_compute_capabilities is not in {ALL_OF_TENSORRT}",
    ]


def test_loading_either_module_is_followed() -> None:
    assert findings_in(Source({"rtseg.runners.tensorrt.module": textwrap.dedent(LOADING)})) == []


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
