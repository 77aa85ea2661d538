"""TensorRT's log lines as its versions print them, and what is made of them."""

from __future__ import annotations

import re

import pytest

from rtseg.runners.tensorrt.messages import (
    ERROR,
    INFO,
    INTERNAL_ERROR,
    KEPT,
    TRANSLATIONS,
    VERBOSE,
    WARNING,
    LogRecord,
    engine_error,
    shortened,
    translated,
)

LINES = [
    (
        "2: [virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (no further information)",
        "not enough GPU memory",
        "--workspace 1024",
    ),
    ("Requested amount of GPU memory (8589934592 bytes) could not be allocated.", "not enough GPU memory", "smaller"),
    ("1: [defaultAllocator.cpp::allocate::20] Error Code 1: Cuda Runtime (out of memory)", "not enough GPU memory", ""),
    (
        "10: [optimizer.cpp::computeCosts::3869] Error Code 10: Internal Error (Could not find any implementation for "
        "node /network/stem/Conv + /network/stem/Relu.)",
        "TensorRT has no kernel for /network/stem/Conv",
        "use rtseg quantize --exclude",
    ),
    (
        "10: [optimizer.cpp::computeCosts::2011] Error Code 10: Internal Error (Could not find any implementation for "
        "node {ForeignNode[/a/Conv.../b/Add]}.)",
        "TensorRT has no kernel for {ForeignNode[/a/Conv.../b/Add]} in this precision",
        "a newer TensorRT",
    ),
    (
        "Could not find any implementation for node Conv_3 due to insufficient workspace. See verbose log.",
        "no kernel for Conv_3 fits into the workspace",
        "a larger --workspace",
    ),
    (
        "No importer registered for op: MaxUnpool. Attempting to import as plugin.",
        "TensorRT's ONNX parser does not know the operator MaxUnpool",
        "rtseg export again",
    ),
    (
        "3: getPluginCreator could not find plugin: ROIAlign_TRT version: 1",
        "the plugin ROIAlign_TRT is missing",
        "export the network without plugins",
    ),
    (
        'node 3: Assertion failed: creator && "Plugin not found, are the plugin name, version, and namespace correct?"',
        "a plugin that the graph or engine needs is missing",
        "export the network without plugins",
    ),
    (
        "6: The engine plan file is not compatible with this version of TensorRT, expecting library version 8.6.1.6 "
        "got 8.5.3.1, please rebuild.",
        "the engine was built with TensorRT 8.5.3.1, and this is 8.6.1.6",
        "run rtseg build with the TensorRT that will run the engine",
    ),
    (
        "1: [stdArchiveReader.cpp::StdArchiveReader::32] Error Code 1: Serialization (Serialization assertion "
        "stdVersionRead == serializationVersion failed.Version tag does not match. Note: Current Version: 232, "
        "Serialized Engine Version: 205)",
        "the engine was built with another version of TensorRT",
        "rtseg build",
    ),
    (
        "6: The engine plan file is generated on an incompatible device, expecting compute 9.0 got compute 8.6, please "
        "rebuild.",
        "the engine is for a GPU of compute capability 8.6, and this one has 9.0",
        "run rtseg build on the GPU that will run the engine",
    ),
    (
        "1: [runtime.cpp::parsePlan::314] Error Code 1: Serialization (Serialization assertion plan->header.magicTag "
        "== rt::kPLAN_MAGIC_TAG failed.Magic tag does not match)",
        "this is not a TensorRT engine, or it is damaged",
        "rtseg build again",
    ),
    (
        "3: [builderConfig.cpp::setMaxAuxStreams::310] Error Code 3: API Usage Error (Parameter check failed at: "
        "optimizer/api/builderConfig.cpp::setMaxAuxStreams::310, condition: nbStreams >= 0)",
        "TensorRT does not allow this: it needs nbStreams >= 0",
        "another build profile",
    ),
    (
        "IBuilder::buildSerializedNetwork: Error Code 4: API Usage Error (Parameter check failed, condition: "
        "!config.getFlag(BuilderFlag::kFP16). In validate at optimizer/api/builder.cpp:123)",
        "TensorRT does not allow this: it needs !config.getFlag(BuilderFlag::kFP16)",
        "another build profile",
    ),
    (
        "CUDA initialization failure with error: 35. Please check your CUDA installation:  http://docs.nvidia.com/",
        "there is no NVIDIA driver, or one too old for this TensorRT's CUDA",
        "install a newer one, or a TensorRT for an older CUDA",
    ),
    ("CUDA initialization failure with error: 100", "CUDA sees no GPU", "CUDA_VISIBLE_DEVICES"),
    (
        "CUDA initialization failure with error: 34",
        "the CUDA toolkit's stub library hides the driver",
        "LD_LIBRARY_PATH",
    ),
    (
        "CUDA initialization failure with error: 804",
        "the parts of the NVIDIA driver have different versions",
        "restart the machine",
    ),
    ("CUDA initialization failure with error: 2", "not enough GPU memory", "a GPU on which nothing else runs"),
    ("CUDA initialization failure with error: 999. Please check your", "CUDA cannot be used here", "nvidia-smi"),
    (
        "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check_turing_op_compatibility] Cannot "
        "compile operation '/pyramid/MatMul_6' for Turing (SM75): FP32 GEMM is not supported. In compileGraph at /_src",
        "compute capability 7.5 does not support /pyramid/MatMul_6 (FP32 GEMM is not supported)",
        "--precision fp16",
    ),
    (
        "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([tactic.cpp:1676: enumerate_tactics] Tactic "
        "Selection: no tactics to implement the operation within workspace limit. Consider increase",
        "no kernel fits into the workspace",
        "--workspace",
    ),
    (
        "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([myelin_graph.h:1250: attachExceptionMsgToGraph] "
        "MyelinCheckException: cudnn_impl.cpp:1040: CHECK(dtype == myelinTypeFloat || dtype == myelinTypeHalf)",
        "this release of TensorRT for RTX has no INT8 convolution",
        "tensorrt-rtx>=1.7",
    ),
]


@pytest.mark.parametrize(("line", "cause", "hint"), LINES)
def test_a_line_is_told_as_its_cause_with_what_to_try(line: str, cause: str, hint: str) -> None:
    message = str(engine_error("TensorRT could not build the engine", [line]))
    assert message.startswith(f"TensorRT could not build the engine: {cause}")
    assert f"got from TensorRT: {shortened(line)}" in message
    assert hint in message.partition(". Try: ")[2]


def test_every_translation_has_a_line_that_it_is_for() -> None:
    unused = [
        entry.pattern
        for entry in TRANSLATIONS
        if not any(
            (found := translated([line])) and found[0].startswith(entry.cause.split("{")[0]) for line, *_ in LINES
        )
    ]
    assert unused == []


def test_want_of_memory_is_told_before_what_comes_of_it() -> None:
    lines = [LINES[3][0], LINES[1][0]]
    assert str(engine_error("no engine", lines)).startswith("no engine: not enough GPU memory")


def test_lines_that_nobody_knows_are_passed_on() -> None:
    error = engine_error("no engine", ["9: [a.cpp::f::1] Error Code 9: Strange (x)", "second"], hint="something")
    assert str(error) == "no engine; got from TensorRT: Strange (x); second. Try: something"
    assert str(engine_error("no engine", [])) == "no engine; got from TensorRT: no message"


def test_a_line_loses_its_source_file_and_number() -> None:
    assert shortened("2: [a/b.cpp::f::140] Error Code 2: OutOfMemory (x)") == "OutOfMemory (x)"
    assert shortened("plain\n  words") == "plain words"


def test_a_record_keeps_the_first_errors_each_once() -> None:
    record = LogRecord()
    for number in range(2 * KEPT):
        record.add(ERROR, f"error {number}")
        record.add(ERROR, "error 0")
    record.add(INTERNAL_ERROR, "inside")
    record.add(WARNING, "warned")
    for severity in (INFO, VERBOSE, 77):
        record.add(severity, "chatter")
    assert record.errors == (*(f"error {number}" for number in range(KEPT)), "inside")
    assert record.warnings == ("warned",)
    record.clear()
    assert record.errors == record.warnings == ()


def test_the_operator_that_is_unknown_is_told_rather_than_the_plugin_that_nobody_asked_for() -> None:
    record = LogRecord()
    record.add(INFO, LINES[6][0])
    record.add(ERROR, LINES[7][0])
    assert re.search("does not know the operator MaxUnpool", str(engine_error("refused", record.errors)))


def test_a_cuda_that_fails_is_an_error_though_tensorrt_8_calls_it_a_warning() -> None:
    record = LogRecord()
    record.add(WARNING, "Unable to determine GPU memory usage")
    record.add(WARNING, "CUDA initialization failure with error: 35")
    assert record.errors == ("CUDA initialization failure with error: 35",)
    assert record.warnings == ("Unable to determine GPU memory usage",)
