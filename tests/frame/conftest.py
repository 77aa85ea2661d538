from __future__ import annotations

from collections.abc import Iterator

import pytest

from rtseg.frame import native_library


@pytest.fixture(scope="module", params=["native", "numpy"])
def core(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both implementations in turn; the native one where it could be built."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(native_library.CHOICE, raising=False)
        if request.param == "numpy":
            patch.setenv(native_library.CHOICE, "numpy")
        elif native_library.core() is None:
            pytest.skip(native_library.why_none())
        yield request.param
