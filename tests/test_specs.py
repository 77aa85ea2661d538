"""The contracts that travel: what they refuse, and that JSON gives back what it was given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtseg.errors import SpecError
from rtseg.frame.preprocess import tensor_from_image
from rtseg.specs import (
    COLOUR_ORDERS,
    INTERFACES,
    MAX_LOGIT,
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
    PADDING,
    ClassSpec,
    ImageSpec,
    Normalization,
    OutputSpec,
    Resolution,
    contract_metadata,
    tensor_shapes,
)
from rtseg.specs.versioned_json import CONTRACT_VERSION, require_field_types

SIDES = st.integers(MIN_SIDE, 4096)
RESOLUTIONS = st.builds(Resolution, SIDES, SIDES)
FINITE = st.floats(-(2.0**99), 2.0**99, width=32)
POSITIVE = st.floats(min_value=1e-6, max_value=1e6)
BYTES = st.integers(0, 255)
STRETCHED = st.fixed_dictionaries({})
LETTERBOXED = st.fixed_dictionaries({"fit": st.just("letterbox"), "padding": BYTES})
IMAGES = (STRETCHED | LETTERBOXED).flatmap(
    lambda fitting: st.builds(
        ImageSpec,
        SIDES,
        SIDES,
        st.sampled_from(COLOUR_ORDERS),
        POSITIVE,
        st.tuples(FINITE, FINITE, FINITE),
        st.tuples(POSITIVE, POSITIVE, POSITIVE),
        **{name: st.just(value) for name, value in fitting.items()},
    )
)


def classes_of(count: int) -> st.SearchStrategy[ClassSpec]:
    return st.builds(
        ClassSpec,
        st.text(max_size=10),
        st.tuples(*[st.text(max_size=10)] * count),
        st.tuples(*[st.tuples(BYTES, BYTES, BYTES)] * count),
        BYTES,
    )


WAYS = (st.sampled_from(INTERFACES), st.sampled_from([1, 2, 4, 8, 16, 32]), st.booleans())
BY_ARGMAX = st.builds(OutputSpec, st.integers(2, 20).flatmap(classes_of), *WAYS)
BY_THRESHOLD = st.builds(OutputSpec, classes_of(2), *WAYS, threshold=st.floats(-MAX_LOGIT, MAX_LOGIT))
OUTPUTS = BY_ARGMAX | BY_THRESHOLD
TWO = ClassSpec("", ("a", "b"), ((0, 0, 0), (1, 1, 1)))
ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers(), max_size=3)


# Resolutions


@given(RESOLUTIONS)
def test_a_resolution_is_written_as_it_is_read(resolution: Resolution) -> None:
    assert Resolution.parse(str(resolution)) == resolution


@given(st.text(max_size=12))
def test_any_text_is_a_resolution_or_a_spec_error(text: str) -> None:
    try:
        parsed = Resolution.parse(text)
    except SpecError:
        return
    assert min(parsed.height, parsed.width) >= MIN_SIDE and parsed.height * parsed.width <= MAX_PIXELS


@pytest.mark.parametrize("size", [(0, 0), (15, 64), (64, MAX_SIDE + 1), (-64, 64), (MAX_SIDE, MAX_SIDE)])
def test_a_resolution_no_network_is_meant_for_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SpecError, match="Try: "):
        Resolution(*size)


@given(RESOLUTIONS, st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_the_resolution_that_is_suggested_fits_and_is_the_nearest(resolution: Resolution, stride: int) -> None:
    try:
        resolution.require_multiple_of(stride, "net")
    except SpecError as error:
        suggested = Resolution.parse(str(error).rpartition("such as ")[2])
        suggested.require_multiple_of(stride, "net")
        assert abs(suggested.height - resolution.height) <= max(stride / 2, stride - resolution.height)
        assert abs(suggested.width - resolution.width) <= max(stride / 2, stride - resolution.width)
    else:
        assert resolution.height % stride == resolution.width % stride == 0


# JSON


@given(IMAGES)
def test_an_image_contract_survives_json(spec: ImageSpec) -> None:
    assert ImageSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert ImageSpec.of(spec.resolution, spec.normalization, fit=spec.fit, padding=spec.padding) == spec


@given(OUTPUTS)
def test_an_output_contract_survives_json(spec: OutputSpec) -> None:
    assert OutputSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@given(IMAGES, OUTPUTS)
def test_the_metadata_of_a_graph_hold_both_contracts(image: ImageSpec, output: OutputSpec) -> None:
    metadata = contract_metadata(image, output)
    assert ImageSpec.from_json(json.loads(metadata["rtseg.image"])) == image
    assert OutputSpec.from_json(json.loads(metadata["rtseg.output"])) == output


@given(ANYTHING | st.dictionaries(st.text(), ANYTHING, max_size=3))
def test_anything_else_is_a_spec_error(data: object) -> None:
    for kind in (ImageSpec, OutputSpec, ClassSpec):
        with pytest.raises(SpecError):
            kind.from_json(data)


@pytest.mark.parametrize(
    "spec",
    [
        ImageSpec(64, 64),
        ImageSpec(64, 64, fit="letterbox", padding=0),
        OutputSpec(TWO, "logits", 8, False),
        OutputSpec(TWO, "logits", 8, False, threshold=0.5),
        TWO,
    ],
    ids=str,
)
@given(data=st.data())
def test_any_value_in_any_field_is_accepted_or_a_spec_error(spec: Any, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([field.name for field in fields(spec)] + ["version"]))
    changed = {**spec.to_json(), name: data.draw(ANYTHING)}
    try:
        read = type(spec).from_json(changed)
    except SpecError:
        return
    told = json.loads(json.dumps(asdict(read)))
    assert told == {**told, **{key: value for key, value in changed.items() if key != "version"}}
    assert type(spec).from_json(read.to_json()) == read


@pytest.mark.parametrize("change", [{"surplus": 1}, {"height": None}])
def test_unknown_and_missing_fields_are_refused(change: Mapping[str, object]) -> None:
    data = {**ImageSpec(64, 64).to_json(), **change}
    with pytest.raises(SpecError, match="ImageSpec"):
        ImageSpec.from_json(data)
    del data["width"]
    with pytest.raises(SpecError, match="the fields of ImageSpec do not match"):
        ImageSpec.from_json(data)


def test_an_integer_may_stand_for_a_float_but_never_the_other_way_round() -> None:
    values = {"colour_order": "RGB", "scale": 1, "mean": (0, 0.5, 1), "std": (1.0, 1.0, 1.0)}
    require_field_types(Normalization, values)
    with pytest.raises(SpecError, match=r"Normalization's mean has the wrong type; got .0, True, 1.; expected tuple"):
        require_field_types(Normalization, {**values, "mean": (0, True, 1)})
    with pytest.raises(SpecError, match=r"ImageSpec's height has the wrong type; got 64.0; expected int"):
        ImageSpec.from_json({**ImageSpec(64, 64).to_json(), "height": 64.0})


# Versions of JSON


@given(IMAGES, OUTPUTS)
def test_a_contract_is_written_in_the_first_version_that_can_say_it(image: ImageSpec, output: OutputSpec) -> None:
    said = {"version", "fit", "padding"} & set(image.to_json())
    assert said == ({"version", "fit", "padding"} if image.fit == "letterbox" else set())
    said = {"version", "threshold"} & set(output.to_json())
    assert said == (set() if output.threshold is None else {"version", "threshold"})


def test_what_the_first_version_can_say_has_the_very_text_of_old() -> None:
    metadata = contract_metadata(ImageSpec(64, 96), OutputSpec(TWO, "logits", 8, False))
    assert metadata == {
        "rtseg.image": '{"colour_order": "RGB", "height": 64, "mean": [0.485, 0.456, 0.406], "resize": "bilinear", '
        '"scale": 0.00392156862745098, "std": [0.229, 0.224, 0.225], "width": 96}',
        "rtseg.output": '{"align_corners": false, "classes": {"dataset": "", "ignore_index": 255, "names": ["a", "b"], '
        '"palette": [[0, 0, 0], [1, 1, 1]]}, "interface": "logits", "stride": 8, "upsampling": "bilinear"}',
    }


@pytest.mark.parametrize(
    "spec", [ImageSpec(64, 64), OutputSpec(TWO, "logits", 8, False)], ids=lambda spec: type(spec).__name__
)
def test_a_newer_version_is_refused_whatever_else_it_says(spec: Any) -> None:
    for others in (spec.to_json(), {}, {"surplus": 1}):
        with pytest.raises(
            SpecError, match=r"is of a newer version; got 3; expected 2 or less. Try: install a newer rtseg"
        ):
            type(spec).from_json({**others, "version": CONTRACT_VERSION + 1})


@pytest.mark.parametrize("version", [0, -1, 2.0, True, "2", None])
def test_a_version_that_is_none_is_refused(version: object) -> None:
    with pytest.raises(SpecError, match="has an invalid version"):
        ImageSpec.from_json({**ImageSpec(64, 64, fit="letterbox").to_json(), "version": version})


def test_a_field_of_a_later_version_is_refused_in_an_earlier_one() -> None:
    data = ImageSpec(64, 64, fit="letterbox").to_json()
    del data["version"]
    for earlier in (data, {**data, "version": 1}):
        with pytest.raises(SpecError, match="the fields of ImageSpec do not match"):
            ImageSpec.from_json(earlier)


def test_a_field_of_its_own_version_may_not_be_left_out() -> None:
    data = ImageSpec(64, 64, fit="letterbox").to_json()
    del data["padding"]
    with pytest.raises(SpecError, match="the fields of ImageSpec do not match"):
        ImageSpec.from_json(data)


def test_the_later_version_may_say_what_the_first_says() -> None:
    plain = ImageSpec(64, 64)
    assert ImageSpec.from_json({**plain.to_json(), "version": 2, "fit": "stretch", "padding": PADDING}) == plain


# Shapes


@given(IMAGES, OUTPUTS)
def test_a_threshold_has_one_channel_and_an_argmax_one_for_each_class(image: ImageSpec, output: OutputSpec) -> None:
    _, given_shape = tensor_shapes(image, output)
    if output.interface == "labels":
        assert given_shape == (1, image.height, image.width)
    else:
        assert given_shape[1] == output.channels == (len(output.classes) if output.threshold is None else 1)


# What no contract allows


@pytest.mark.parametrize(
    "change",
    [
        {"colour_order": "GBR"},
        {"resize": "area"},
        {"scale": 0.0},
        {"scale": float("nan")},
        {"std": (1.0, -1.0, 1.0)},
        {"mean": (0.0, 0.0)},
        {"height": 8},
        {"fit": "crop"},
        {"fit": "letterbox", "padding": 256},
        {"fit": "letterbox", "padding": -1},
        {"padding": 0},
    ],
    ids=str,
)
def test_an_image_contract_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        ImageSpec(**{"height": 64, "width": 64, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"interface": "masks"},
        {"stride": 3},
        {"stride": 64},
        {"upsampling": "nearest"},
        {"threshold": float("nan")},
        {"threshold": float("inf")},
        {"threshold": -2e30},
        {"threshold": 10**400},
        {"threshold": 0.5, "classes": ClassSpec("", ("a", "b", "c"), ((0, 0, 0),) * 3)},
    ],
    ids=str,
)
def test_an_output_contract_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        OutputSpec(**{"classes": TWO, "interface": "logits", "stride": 8, "align_corners": False, **change})


@pytest.mark.parametrize(
    ("names", "palette"),
    [(("a",), ((0, 0, 0),)), (("a", "b"), ((0, 0, 0),)), (("a", "b"), ((0, 0, 0), (0, 0, 256)))],
    ids=["one class", "one colour", "no byte"],
)
def test_a_class_list_that_cannot_be_is_refused(names: tuple[str, ...], palette: Any) -> None:
    with pytest.raises(SpecError):
        ClassSpec("", names, palette)


# Numbers that normalise

PLAIN = {"scale": 1 / 255, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
HUGE, NAN, INF = 1e300, float("nan"), float("inf")
MAKERS = (lambda **fields: ImageSpec(64, 64, **fields), Normalization)


@pytest.mark.parametrize("make", MAKERS, ids=["image", "normalization"])
@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("mean", (NAN, NAN, NAN), "mean is not a finite float32 number; got nan"),
        ("mean", (0.0, INF, 0.0), "mean is not a finite float32 number; got inf"),
        ("mean", (0.0, HUGE, 0.0), r"mean is not a finite float32 number; got 1e\+300"),
        ("mean", (0, 10**400, 0), "mean is not a finite float32 number; got 1000"),
        ("mean", (0.0, 0.0), "mean and std have one value per channel"),
        ("std", (INF, 1.0, 1.0), "std is not a finite float32 number; got inf"),
        ("std", (1.0, NAN, 1.0), "std is not a finite float32 number; got nan"),
        ("std", (1.0, 1.0, 0.0), "scale and std must be positive"),
        ("std", (1.0, 1.0, -1.0), "scale and std must be positive"),
        ("std", (1e-300, 1.0, 1.0), "std is too small for float32"),
        ("std", (1e-39, 1.0, 1.0), "std is too small for float32"),
        ("scale", HUGE, r"scale is not a finite float32 number; got 1e\+300"),
        ("scale", NAN, "scale is not a finite float32 number; got nan"),
        ("scale", 1e-300, "scale is too small for float32"),
        ("scale", 0.0, "scale and std must be positive"),
        ("scale", 3e38, "values that float32 does not hold"),
        ("mean", (3e38, 0.0, 0.0), None),
    ],
)
def test_numbers_that_do_not_normalise_are_refused_by_name(
    make: Callable[..., object], field: str, value: object, told: str | None
) -> None:
    if told is None:
        make(**{**PLAIN, field: value})
        return
    with pytest.raises(SpecError, match=told):
        make(**{**PLAIN, field: value})


NUMBERS = st.floats() | st.floats(1e-6, 1e6) | st.sampled_from([0.0, 1e-45, 1e-38, 3.4e38, 1e308, -1.0])


@given(NUMBERS, st.tuples(NUMBERS, NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_what_is_taken_gives_numbers_for_every_pixel(
    scale: float, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    try:
        spec = ImageSpec(16, 16, "RGB", scale, mean, std)
    except SpecError:
        return
    pixels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    assert np.isfinite(tensor_from_image(pixels, spec)).all()


# Two class lists that differ


def test_lists_of_other_names_or_sizes_are_told_by_these() -> None:
    three = ClassSpec("own", ("a", "b", "c"), ((0, 0, 0),) * 3)
    assert (TWO.words(three), three.words(TWO)) == ("a list with 2 classes", "own with 3 classes")


def test_lists_of_one_name_and_size_are_told_by_the_first_class_that_differs() -> None:
    other = ClassSpec("", ("a", "c"), ((0, 0, 0),) * 2)
    assert TWO.words(other) == "a list with 2 classes, of which 1 is b"
    assert other.words(TWO) == "a list with 2 classes, of which 1 is c"
    assert TWO.words(TWO) == "a list with 2 classes"
