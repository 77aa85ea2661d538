"""The C interface as its header tells of it, from C and with arguments Python never passes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import rtseg
from rtseg.frame import native_library
from rtseg.frame.native_library import CoreWindow

NATIVE = Path(rtseg.__file__).parent / "native"
HEADER = (NATIVE / "rtseg_core.h").read_text()
CC, CXX = shutil.which("cc"), shutil.which("c++")
CODES = {name: int(code) for name, code in re.findall(r"^    (RTSEG_\w+) = (-?\d+)", HEADER, re.MULTILINE)}

needs_compilers = pytest.mark.skipif(CC is None or CXX is None, reason="no C and C++ compilers (cc, c++)")


def defined(name: str) -> int:
    match = re.search(rf"^#define {name} (\d+)$", HEADER, re.MULTILINE)
    assert match, name
    return int(match[1])


@needs_compilers
def test_the_headers_example_compiles_as_c_and_prints_what_it_says(tmp_path: Path) -> None:
    example = HEADER.partition(" * A complete program:\n")[2].partition(" * It prints ")
    source = "\n".join(line[2:].removeprefix("     ") for line in example[0].splitlines())
    promised = example[2].partition('"')[2].partition('"')[0]
    (tmp_path / "example.c").write_text(source)
    strict = ["-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{NATIVE}"]
    subprocess.run([CC, "-std=c99", *strict, "-c", "example.c", "-o", "example.o"], cwd=tmp_path, check=True)
    sources = sorted(NATIVE.glob("*.cpp"))
    link = [
        CXX,
        "-std=c++17",
        "-O0",
        *strict,
        "-DRTSEG_NO_TARGET_CLONES",
        "-pthread",
        "example.o",
        *sources,
        "-o",
        "example",
    ]
    subprocess.run(link, cwd=tmp_path, check=True)
    ran = subprocess.run([tmp_path / "example"], capture_output=True, text=True, check=True)
    assert ran.stdout == promised + "\n"


@needs_compilers
@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
@pytest.mark.parametrize("static", [False, True], ids=["by itself", "in another library"])
def test_a_library_that_takes_in_the_sources_can_hide_the_functions(static: bool, tmp_path: Path) -> None:
    options = ["-std=c++17", "-O0", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread"]
    options += ["-DRTSEG_CORE_STATIC"] if static else []
    subprocess.run([CXX, *options, NATIVE / "workspace.cpp", "-o", "library.so"], cwd=tmp_path, check=True)
    table = subprocess.run(["nm", "-D", "library.so"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    shown = set(re.findall(r" T (rtseg_\w+)", table))
    assert shown == (set() if static else {"rtseg_workspace_create", "rtseg_workspace_destroy"})


def test_python_expects_the_headers_abi_version(library) -> None:
    assert defined("RTSEG_CORE_ABI_VERSION") == native_library.ABI_VERSION == library.rtseg_core_abi_version()


def test_python_knows_the_headers_codes_and_limits() -> None:
    from rtseg.frame.bilinear import MAX_SIDE
    from rtseg.specs import MAX_CLASSES

    assert CODES["RTSEG_NO_MEMORY"] == native_library.NO_MEMORY
    assert CODES["RTSEG_NOT_FINITE"] == native_library.NOT_FINITE
    assert defined("RTSEG_MAX_SIDE") == MAX_SIDE
    assert defined("RTSEG_MAX_CLASSES") == MAX_CLASSES


def test_every_code_has_its_own_message(library) -> None:
    messages = {library.rtseg_core_message(code) for code in [*CODES.values(), 12345]}
    assert len(messages) == len(CODES) + 1


LOGITS = np.zeros((3, 4, 5), np.float32)
LABELS = np.full((8, 9), 77, np.uint8)
TAIL = [LOGITS.ctypes.data, 3, 4, 5, LABELS.ctypes.data, 8, 9, 0, 1]


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        (0, None, "RTSEG_NULL_POINTER"),
        (4, None, "RTSEG_NULL_POINTER"),
        (1, 1, "RTSEG_BAD_CLASSES"),
        (1, 257, "RTSEG_BAD_CLASSES"),
        (1, -3, "RTSEG_BAD_CLASSES"),
        *((position, value, "RTSEG_BAD_SIZE") for position in (2, 3, 5, 6) for value in (0, -1, 8388609, 2**31 - 1)),
        (8, -1, "RTSEG_BAD_VALUE"),
    ],
)
def test_the_tail_answers_a_bad_argument_with_its_code(library, position: int, value, code: str) -> None:
    arguments = [*TAIL[:position], value, *TAIL[position + 1 :]]
    assert library.rtseg_labels_from_logits(*arguments) == CODES[code]
    assert (LABELS == 77).all()


WINDOW = CoreWindow(40, 50, 4, 5, 32, 40)
OUTSIDE = [
    *((0, 50, 0, 5, 1, 40), (40, 0, 4, 0, 32, 1), (1 << 24, 50, 4, 5, 32, 40)),
    *((40, 50, -1, 5, 32, 40), (40, 50, 4, -1, 32, 40), (40, 50, 9, 5, 32, 40), (40, 50, 4, 11, 32, 40)),
    *((40, 50, 4, 5, 0, 40), (40, 50, 4, 5, 32, 0), (40, 50, 2**31 - 1, 5, 32, 40), (40, 50, 4, 5, 2**31 - 1, 40)),
]
IN_WINDOW = [LOGITS.ctypes.data, 3, 4, 5, WINDOW, LABELS.ctypes.data, 8, 9, 0, 1]
MASK = [LOGITS.ctypes.data, 4, 5, 0.5, WINDOW, LABELS.ctypes.data, 8, 9, 0, 1]


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 5)),
        *((1, classes, "RTSEG_BAD_CLASSES") for classes in (1, 257)),
        *((position, value, "RTSEG_BAD_SIZE") for position in (2, 3, 6, 7) for value in (0, 8388609)),
        *((4, CoreWindow(*places), "RTSEG_BAD_SIZE") for places in OUTSIDE),
        (9, -1, "RTSEG_BAD_VALUE"),
    ],
)
def test_the_tail_of_a_window_answers_a_bad_argument_with_its_code(library, position: int, value, code: str) -> None:
    arguments = [*IN_WINDOW[:position], value, *IN_WINDOW[position + 1 :]]
    assert library.rtseg_labels_in_window(*arguments) == CODES[code]
    assert (LABELS == 77).all()


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 5)),
        *((position, value, "RTSEG_BAD_SIZE") for position in (1, 2, 6, 7) for value in (0, 8388609)),
        *((3, value, "RTSEG_BAD_VALUE") for value in (float("nan"), float("inf"), -2e30, 2e30)),
        *((4, CoreWindow(*places), "RTSEG_BAD_SIZE") for places in OUTSIDE),
        (9, -1, "RTSEG_BAD_VALUE"),
    ],
)
def test_the_mask_answers_a_bad_argument_with_its_code(library, position: int, value, code: str) -> None:
    arguments = [*MASK[:position], value, *MASK[position + 1 :]]
    assert library.rtseg_mask_from_logits(*arguments) == CODES[code]
    assert (LABELS == 77).all()


def test_a_window_that_is_no_pointer_is_the_whole(library) -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)
    made = [np.full((8, 9), 77, np.uint8) for _ in range(2)]
    assert library.rtseg_labels_from_logits(logits.ctypes.data, 3, 4, 5, made[0].ctypes.data, 8, 9, 0, 1) == 0
    assert library.rtseg_labels_in_window(logits.ctypes.data, 3, 4, 5, None, made[1].ctypes.data, 8, 9, 0, 1) == 0
    np.testing.assert_array_equal(*made)


IMAGE = np.zeros((4, 5, 3), np.uint8)
MEAN, STD = np.zeros(3, np.float32), np.ones(3, np.float32)
BAD = np.array([1, np.nan, 1], np.float32)
TENSOR = np.full((3, 8, 9), 77, np.float32)
PREPROCESS = [
    *(IMAGE.ctypes.data, 4, 5, 15, 0, 8, 9),
    *(1.0, MEAN.ctypes.data, STD.ctypes.data, TENSOR.ctypes.data, 1),
]


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 8, 9, 10)),
        *((position, value, "RTSEG_BAD_SIZE") for position in (1, 2, 5, 6) for value in (0, -1, 8388609, 2**31 - 1)),
        *((3, row_bytes, "RTSEG_BAD_SIZE") for row_bytes in (0, 14, -14)),
        *((7, scale, "RTSEG_BAD_VALUE") for scale in (0.0, -1.0, float("nan"), float("inf"))),
        pytest.param(8, BAD.ctypes.data, "RTSEG_BAD_VALUE", id="mean is not finite"),
        pytest.param(9, BAD.ctypes.data, "RTSEG_BAD_VALUE", id="std is not finite"),
        pytest.param(9, MEAN.ctypes.data, "RTSEG_BAD_VALUE", id="std is zero"),
        (11, -1, "RTSEG_BAD_VALUE"),
    ],
)
def test_the_preprocessing_answers_a_bad_argument_with_its_code(library, position: int, value, code: str) -> None:
    arguments = [*PREPROCESS[:position], value, *PREPROCESS[position + 1 :]]
    assert library.rtseg_tensor_from_image(*arguments) == CODES[code]
    assert (TENSOR == 77).all()


LETTERBOX = [
    *(IMAGE.ctypes.data, 4, 5, 15, 0, CoreWindow(8, 9, 1, 0, 7, 9), 114),
    *(1.0, MEAN.ctypes.data, STD.ctypes.data, TENSOR.ctypes.data, 1),
]


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 5, 8, 9, 10)),
        *((position, value, "RTSEG_BAD_SIZE") for position in (1, 2) for value in (0, -1, 8388609)),
        *((3, row_bytes, "RTSEG_BAD_SIZE") for row_bytes in (0, 14, -14)),
        *((5, CoreWindow(*places), "RTSEG_BAD_SIZE") for places in OUTSIDE),
        *((6, padding, "RTSEG_BAD_VALUE") for padding in (-1, 256)),
        *((7, scale, "RTSEG_BAD_VALUE") for scale in (0.0, float("nan"))),
        (11, -1, "RTSEG_BAD_VALUE"),
    ],
)
def test_the_letterboxing_answers_a_bad_argument_with_its_code(library, position: int, value, code: str) -> None:
    arguments = [*LETTERBOX[:position], value, *LETTERBOX[position + 1 :]]
    assert library.rtseg_letterbox_from_image(*arguments) == CODES[code]
    assert (TENSOR == 77).all()


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("value", [0, -1, 8388609])
def test_where_a_letterboxed_image_lies_is_not_told_of_a_bad_size(library, position: int, value: int) -> None:
    sizes, window = [4, 5, 40, 50], CoreWindow()
    sizes[position] = value
    assert library.rtseg_letterbox_window(*sizes, window) == CODES["RTSEG_BAD_SIZE"]
    assert library.rtseg_letterbox_window(4, 5, 40, 50, None) == CODES["RTSEG_NULL_POINTER"]
    assert bytes(window) == bytes(CoreWindow())


VALUES = np.ones(4, np.float32)
EXTREMES, ZEROS = np.full(2, 77, np.float32), np.full(1, 77, np.uint64)
RANGE = [VALUES.ctypes.data, 4, EXTREMES.ctypes.data, EXTREMES[1:].ctypes.data, ZEROS.ctypes.data, 1]
NOT_FINITE = np.array([1, np.nan, 1, 1], np.float32)


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 2, 3, 4)),
        *((1, count, "RTSEG_BAD_SIZE") for count in (0, 2**32 + 1, 2**64 - 1)),
        (5, -1, "RTSEG_BAD_VALUE"),
        pytest.param(0, NOT_FINITE.ctypes.data, "RTSEG_NOT_FINITE", id="values are not finite"),
    ],
)
def test_the_range_answers_a_bad_argument_with_its_code(library, position: int, value, code: str) -> None:
    arguments = [*RANGE[:position], value, *RANGE[position + 1 :]]
    assert library.rtseg_value_range(*arguments) == CODES[code]
    assert (EXTREMES == 77).all() and (ZEROS == 77).all()


BINS = np.full(4096, 77, np.uint64)
COUNT = [VALUES.ctypes.data, 4, 0, BINS.ctypes.data, 1]


@pytest.mark.parametrize(
    ("position", "value", "code"),
    [
        *((position, None, "RTSEG_NULL_POINTER") for position in (0, 3)),
        *((1, count, "RTSEG_BAD_SIZE") for count in (0, 2**32 + 1, 2**64 - 1)),
        *((2, exponent, "RTSEG_BAD_VALUE") for exponent in (-127, 117, -(2**31), 2**31 - 1)),
        (4, -1, "RTSEG_BAD_VALUE"),
    ],
)
def test_the_counting_answers_a_bad_argument_with_its_code(library, position: int, value, code: str) -> None:
    arguments = [*COUNT[:position], value, *COUNT[position + 1 :]]
    assert library.rtseg_count_magnitudes(*arguments) == CODES[code]
    assert (BINS == 77).all()
