"""The lane for a machine with an NVIDIA GPU. What only a GPU can show is shown here, on the real driver.

    python -m pytest -m gpu          in the root of a checkout; nothing needs to be installed but what follows

It needs NumPy, pytest and the CUDA bindings (cuda-python, or PyCUDA), CPython 3.9 or newer. TensorRT brings the tests
of engines, torch those of working beside torch; what is not there is skipped with the reason. Without a GPU all is
skipped with one reason. No other package is imported, and no other folder of tests: the root's conftest sees to it.

    test_cuda_drivers.py     the contract of every implementation of rtseg.runners.cuda
    test_frame_ends.py       the two kernels against their twins on the CPU, bit for bit
    test_beside_torch.py     one context, no copies, streams in order
    test_engines.py          a small network in every precision: built, audited, run, compared with ONNX Runtime

Without a GPU tests/runners/cuda runs the contract on a driver whose device is the host, and looks at what lies in
data/.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtseg.errors import CudaError, MissingDependencyError
from rtseg.runners.cuda import DEFAULT, DRIVERS, CudaDriver, Stream, open_cuda

HERE = Path(__file__).resolve().parent


@functools.cache
def opened(name: str) -> CudaDriver | str:
    """Return the driver of that implementation, or why there is none."""
    try:
        return open_cuda(name)
    except (CudaError, MissingDependencyError) as error:
        return str(error)


def why_not(item: pytest.Item) -> str:
    """Return why a test cannot run: no GPU at all, or not through its implementation. Else an empty string."""
    drivers = {name: opened(name) for name in DRIVERS}
    reasons = {name: reason for name, reason in drivers.items() if isinstance(reason, str)}
    if len(reasons) == len(drivers):
        return f"no GPU: {reasons[DEFAULT]}"
    callspec = getattr(item, "callspec", None)
    return reasons.get(callspec.params.get("cuda", ""), "") if callspec else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder, before pytest looks at -m."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run, here and not in a fixture: so pytest tells each reason once, however many tests it has."""
    if reason := why_not(item):
        pytest.skip(reason)


@pytest.fixture(scope="module", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is compiled and built here out of the user's cache, and what lies there out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RTSEG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", params=DRIVERS)
def cuda(request: pytest.FixtureRequest) -> CudaDriver:
    """Each implementation that works here."""
    driver = opened(request.param)
    assert isinstance(driver, CudaDriver)
    return driver


@pytest.fixture(scope="session")
def capturing() -> CudaDriver:
    """The implementation that captures graphs, which an engine's runner uses."""
    driver = opened(DEFAULT)
    if isinstance(driver, str):
        pytest.skip(driver)
    return driver


@pytest.fixture
def stream(cuda: CudaDriver) -> Iterator[Stream]:
    """A stream of its own for each test, finished at its end: a late failure belongs to the test that made it."""
    stream = cuda.create_stream()
    yield stream
    cuda.synchronize(stream)
