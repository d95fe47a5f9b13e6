"""What the kernels are compiled for."""

from __future__ import annotations

import llvmlite.binding as llvm

WIDTHS = {"avx512f": 512, "avx2": 256, "sse2": 128, "neon": 128}  # bits, by a feature of the processor


def processor_name() -> str:
    """LLVM's name of this processor, such as skylake-avx512."""
    return str(llvm.get_host_cpu_name())


def vector_bits() -> int:
    """The width of its vectors, 32 bits of which are one weight; 32 where it has none that is known."""
    features = llvm.get_host_cpu_features()
    return max((width for feature, width in WIDTHS.items() if features.get(feature)), default=32)
