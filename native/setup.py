"""Builds the extension modules: every .pyx of the package, and simdjson beside the Binance one.

simdjson's sources come out of the installed ``pysimdjson`` wheel, so a build needs a C++17 compiler and nothing else
from the system.
"""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import Cython
import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = "tradewind_native"
MODULES = (
    "market_record", "record_arena", "binance", "book_frames", "order_book", "book_checksums", "matching", "itch",
    "order_books", "book_changes", "market_ring", "fix_messages",
)  # fmt: skip
ON_SIMDJSON = ("binance", "book_frames")
CPUS = os.cpu_count() or 1


def simdjson_folder() -> str:
    """The folder with simdjson.h and simdjson.cpp."""
    spec = importlib.util.find_spec("simdjson")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if all(Path(folder, name).is_file() for name in ("simdjson.h", "simdjson.cpp")):
            return folder
    raise SystemExit("tradewind-native needs the simdjson sources: install 'pysimdjson>=7' in the build environment.")


def extension(module: str, simdjson: str) -> Extension:
    """One extension module; its C++ is generated into the build folder."""
    sources = [f"src/{PACKAGE}/{module}.pyx"]
    if module in ON_SIMDJSON:
        # setuptools names the object after the source, which must lie under the project to stay in the build folder;
        # modules are built at once, so each has its own.
        copy = Path("build", f"simdjson-{module}", "simdjson.cpp")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path(simdjson, "simdjson.cpp"), copy)
        sources.append(str(copy))
    return Extension(
        f"{PACKAGE}.{module}",
        sources,
        language="c++",
        depends=[str(path) for path in Path("src", PACKAGE).glob("*.h*")],
        include_dirs=["src", np.get_include(), simdjson],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"), ("NDEBUG", "1")],
        # No -march: simdjson picks its implementation for the CPU at run time, so the wheel runs on any of them.
        extra_compile_args=["-std=c++17", "-O3", "-fvisibility=hidden"],
    )


class BuildKernels(build_ext):
    """build_ext, parallel, that says in one sentence when there is no compiler."""

    def build_extensions(self) -> None:
        """Compile every extension module."""
        commands = getattr(self.compiler, "compiler_cxx", None)
        if commands and shutil.which(commands[0]) is None:
            raise SystemExit(
                f"tradewind-native needs a C++17 compiler and {commands[0]!r} is not on the PATH: "
                "install g++ or clang++, or name yours in CXX."
            )
        super().build_extensions()


def has_header(header: str) -> bool:
    """Whether the C++ compiler finds a system header."""
    command = shlex.split(os.environ.get("CXX", "c++"))
    if shutil.which(command[0]) is None:
        return False
    probe = f"#include <{header}>\n"
    arguments = [*command, "-std=gnu++14", "-w", "-fsyntax-only", "-x", "c++", "-"]
    # The user's own compiler on a text of ours.
    done = subprocess.run(arguments, input=probe, text=True, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0


def fix_extensions() -> list[Extension]:
    """The FIX sessions over the system's QuickFIX, or nothing and one sentence where it is not installed."""
    if not has_header("quickfix/SocketAcceptor.h"):
        print(
            "tradewind-native: QuickFIX is not installed (Debian: libquickfix-dev), so FIX sessions are left out; "
            "everything else is built.",
            file=sys.stderr,
        )
        return []
    return [
        Extension(
            f"{PACKAGE}.fix_quickfix",
            [f"src/{PACKAGE}/fix_quickfix.pyx"],
            language="c++",
            depends=[f"src/{PACKAGE}/fix_engine.hpp"],
            include_dirs=["src"],
            libraries=["quickfix"],
            # QuickFIX's headers have exception specifications, which C++17 has no more.
            extra_compile_args=["-std=gnu++14", "-O2", "-fvisibility=hidden", "-Wno-deprecated"],
        )
    ]


def pcap_extensions() -> list[Extension]:
    """The reader of packet captures over the system's libpcap, or nothing and one sentence where it is missing."""
    if not has_header("pcap/pcap.h"):
        print(
            "tradewind-native: libpcap is not installed (Debian: libpcap-dev), so pcap and pcapng files are not read; "
            "everything else is built.",
            file=sys.stderr,
        )
        return []
    return [
        Extension(
            f"{PACKAGE}.pcap_files",
            [f"src/{PACKAGE}/pcap_files.pyx"],
            language="c++",
            depends=[f"src/{PACKAGE}/udp_packets.hpp"],
            include_dirs=["src"],
            libraries=["pcap"],
            extra_compile_args=["-std=c++17", "-O2", "-fvisibility=hidden"],
        )
    ]


def main() -> None:
    """Run setuptools."""
    simdjson = simdjson_folder()
    # Where processes are spawned, a pool inside setup.py would import the build front end again.
    workers = CPUS if sys.platform == "linux" else 0
    setup(
        ext_modules=cythonize(
            [extension(module, simdjson) for module in MODULES] + fix_extensions() + pcap_extensions(),
            include_path=["src"],
            nthreads=workers,
            # By version: C++ generated from one numpy's declarations does not compile with another one's headers.
            build_dir=f"build/cython-{Cython.__version__}-numpy-{np.__version__}",
            compiler_directives={
                "language_level": "3",
                "boundscheck": False,
                "wraparound": False,
                "cdivision": True,
                "embedsignature": True,
                "embedsignature.format": "python",
            },
        ),
        cmdclass={"build_ext": BuildKernels},
        options={"build_ext": {"parallel": CPUS}},
    )


main()
