from __future__ import annotations

import pytest

from rtseg.engines.lowering.versions import FLAGS, TYPED, form_for_release
from rtseg.errors import SpecError


@pytest.mark.parametrize("version", ["8.5", "8.5.3", "8.5.3.1", "8.6.1.post1", "9.3.0"])
def test_flags_name_the_precision_before_version_10(version: str) -> None:
    assert form_for_release(version) == FLAGS


@pytest.mark.parametrize("version", ["10.0.1", "10.3.0", "10.16.1.11", "11.4.0.106", "12.0"])
def test_the_graph_holds_the_types_from_version_10_on(version: str) -> None:
    assert form_for_release(version) == TYPED


@pytest.mark.parametrize("version", ["8.4.3", "7.2"])
def test_a_version_before_8_5_is_refused(version: str) -> None:
    with pytest.raises(SpecError, match=r"too old for rtseg; got .*; expected 8\.5 or newer"):
        form_for_release(version)


@pytest.mark.parametrize("version", ["", "ten", "10", "10.", "v10.3", "10.3.0 and more"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(SpecError, match="not a version of TensorRT"):
        form_for_release(version)
