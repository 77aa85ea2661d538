"""NVIDIA's bindings with every return code checked."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, Callable

from rtseg.errors import CudaError, first_line


class CheckedCalls:
    """The functions of cuda.bindings.driver or cuda.bindings.nvrtc; they raise instead of returning a code.

    Call them as `calls.cuMemAlloc(doing, size)`: doing names the purpose for the error message. The result lacks the
    code: an empty tuple, one value, or a tuple. failed makes the exception for a code. missing makes the exception for
    a function, or a whole library, that the package cannot find; it raises a RuntimeError at the call then.
    """

    def __init__(
        self,
        module: ModuleType,
        failed: Callable[[str, Any], CudaError],
        missing: Callable[[str, str], CudaError],
    ) -> None:
        self._module = module
        self._failed = failed
        self._missing = missing

    def __getattr__(self, name: str) -> Callable[..., Any]:
        checked = self._checked(getattr(self._module, name))
        setattr(self, name, checked)  # so that the next call skips __getattr__
        return checked

    def _checked(self, function: Callable[..., tuple[Any, ...]]) -> Callable[..., Any]:
        failed, missing = self._failed, self._missing

        @functools.wraps(function)
        def call(doing: str, *arguments: Any) -> Any:
            try:
                result = function(*arguments)
            except RuntimeError as error:
                raise missing(doing, first_line(error)) from error
            if result[0]:
                raise failed(doing, result[0])
            return result[1] if len(result) == 2 else result[1:]

        return call
