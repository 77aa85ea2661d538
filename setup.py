"""The C++ core, built where a compiler is; without one rtseg does the same work in NumPy.

Everything else about the package is in pyproject.toml.
"""

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = Path("rtseg", "native")


class BuildCore(build_ext):
    """Builds a plain shared library: loaded through ctypes, it needs no module initialiser."""

    def get_export_symbols(self, ext):
        """Return only what the sources export themselves."""
        return ext.export_symbols

    def build_extensions(self):
        """Choose the compiler's own spelling of the same options."""
        compiler = self.compiler.compiler_type
        for extension in self.extensions:
            if compiler == "msvc":
                extension.extra_compile_args = ["/O2", "/std:c++17", "/fp:precise", "/EHsc"]
                continue
            # no contraction: every machine, and NumPy, gives the same bits
            extension.extra_compile_args = ["-O3", "-std=c++17", "-ffp-contract=off", "-fvisibility=hidden"]
            extension.extra_compile_args += ["-pthread", "-g0"]
            extension.extra_link_args = ["-pthread"]
            if compiler == "mingw32":
                extension.extra_link_args += ["-static"]  # Windows has neither libstdc++ nor libwinpthread
        super().build_extensions()


setup(
    ext_modules=[
        Extension(
            "rtseg.native.rtseg_core",
            sources=[str(NATIVE / name) for name in ("tail.cpp", "preprocess.cpp", "workspace.cpp", "magnitudes.cpp")],
            depends=[
                str(NATIVE / name)
                for name in (
                    *("rtseg_core.h", "bilinear.h", "crew.h", "lanes.h"),
                    *("parallel.h", "target.h", "window.h", "workspace.h"),
                )
            ],
            define_macros=[("RTSEG_CORE_BUILDING_DLL", None)],  # which says something on Windows only
            language="c++",
            py_limited_api=True,  # it uses no Python at all: one build serves every version
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildCore},
    options={"bdist_wheel": {"py_limited_api": "cp39"}},
)
