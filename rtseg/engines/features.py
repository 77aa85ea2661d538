"""Differences between TensorRT 8.5 and 11.4; each has one function that tests for the feature.

The rest of rtseg uses only what all these versions have; tests/contracts/test_tensorrt_api.py proves it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from rtseg.engines.settings import BuildSettings
from rtseg.errors import EngineError
from rtseg.runners.tensorrt.module import TensorRt

if TYPE_CHECKING:
    import tensorrt as trt


def create_network(trt: TensorRt, builder: trt.Builder, *, typed: bool) -> trt.INetworkDefinition:
    """Return an empty network with explicit batch; strongly typed if typed, when the graph itself holds the types.

    The bits of the flags moved between 10 and 11, so they come from the enumeration, never from literal numbers. Raises
    EngineError if this TensorRT is too old for strong typing.
    """
    names = trt.NetworkDefinitionCreationFlag
    flags = 0
    if hasattr(names, "EXPLICIT_BATCH"):  # removed in 11; without effect from 10 on
        flags |= 1 << int(names.EXPLICIT_BATCH)
    if typed:
        if not hasattr(names, "STRONGLY_TYPED"):
            raise EngineError(
                "this TensorRT has no strongly typed networks", got=trt.__version__, expected="10 or newer"
            )
        flags |= 1 << int(names.STRONGLY_TYPED)
    return builder.create_network(flags)


def set_precision_flags(config: trt.IBuilderConfig, names: Collection[str]) -> None:
    """Set the builder flags of a lowering, FP16 and INT8. Raises EngineError if TensorRT has no such flags (11)."""
    import tensorrt as trt

    if not names:
        return
    if not hasattr(trt.BuilderFlag, "FP16"):
        raise EngineError("this TensorRT has no flags of precision", got=trt.__version__, expected="older than 11")
    known = {"FP16": trt.BuilderFlag.FP16, "INT8": trt.BuilderFlag.INT8}
    for name in names:
        config.set_flag(known[name])


def apply_settings(config: trt.IBuilderConfig, settings: BuildSettings) -> list[str]:
    """Apply the settings and ask for detailed layer information; return what this version cannot do, one sentence each.

    A setting that only affects speed is left out and reported. Raises EngineError for a setting that this version lacks
    and that would change which GPUs the engine runs on.
    """
    import tensorrt as trt

    left_out = []
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.avg_timing_iterations = settings.avg_timing_iterations
    if settings.workspace_mib:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace_mib << 20)
    if not settings.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if not settings.timing_cache:
        config.set_flag(trt.BuilderFlag.DISABLE_TIMING_CACHE)
    if settings.optimization_level != BuildSettings.optimization_level:
        if hasattr(config, "builder_optimization_level"):
            config.builder_optimization_level = settings.optimization_level
        else:
            left_out.append("optimization_level needs TensorRT 8.6")
    if settings.max_aux_streams >= 0:
        if hasattr(config, "max_aux_streams"):
            config.max_aux_streams = settings.max_aux_streams
        else:
            left_out.append("max_aux_streams needs TensorRT 8.6")
    if settings.tiling != "none":
        if hasattr(config, "tiling_optimization_level"):
            tilings = {
                "fast": trt.TilingOptimizationLevel.FAST,
                "moderate": trt.TilingOptimizationLevel.MODERATE,
                "full": trt.TilingOptimizationLevel.FULL,
            }
            config.tiling_optimization_level = tilings[settings.tiling]
        else:
            left_out.append("tiling needs TensorRT 10.9")
    _set_hardware_compatibility(config, settings.hardware_compatibility)
    if not settings.external_tactics:
        _leave_out_external_tactics(config)
    return left_out


def _set_hardware_compatibility(config: trt.IBuilderConfig, wanted: str) -> None:
    import tensorrt as trt

    if wanted == "none":
        return
    if not hasattr(config, "hardware_compatibility_level"):
        raise EngineError("this TensorRT has no hardware compatibility", got=trt.__version__, expected="8.6 or newer")
    levels = trt.HardwareCompatibilityLevel
    if wanted == "ampere_plus":
        config.hardware_compatibility_level = levels.AMPERE_PLUS
    elif hasattr(levels, "SAME_COMPUTE_CAPABILITY"):
        config.hardware_compatibility_level = levels.SAME_COMPUTE_CAPABILITY
    else:
        raise EngineError(
            f"this TensorRT has no hardware_compatibility {wanted}",
            got=trt.__version__,
            hint="use ampere_plus, or none",
        )


def _leave_out_external_tactics(config: trt.IBuilderConfig) -> None:
    """Keep TensorRT from using cuDNN and cuBLAS. From 11 on it no longer uses them."""
    import tensorrt as trt

    if hasattr(trt.TacticSource, "CUDNN"):
        sources = trt.TacticSource
        unwanted = [sources.CUBLAS, sources.CUBLAS_LT, sources.CUDNN]
        kept = int(config.get_tactic_sources())
        for source in unwanted:
            kept &= ~(1 << int(source))
        config.set_tactic_sources(kept)
    if hasattr(trt.PreviewFeature, "DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805"):
        config.set_preview_feature(trt.PreviewFeature.DISABLE_EXTERNAL_TACTIC_SOURCES_FOR_CORE_0805, True)
