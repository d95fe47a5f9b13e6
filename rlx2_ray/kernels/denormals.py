"""Denormal numbers flushed to zero: they mean nothing here, and x86 processors are many times slower on them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from rlx2_ray.kernels.compiled import entry_point

IS_X86: Final = platform.machine() in ("x86_64", "AMD64")
FLUSH_TO_ZERO, DENORMALS_ARE_ZERO = 0x8000, 0x0040  # bits of the register MXCSR


@intrinsic  # type: ignore[untyped-decorator]
def _set_bits(typing_context: Any) -> Any:
    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        if not IS_X86:
            return context.get_dummy_value()
        integer, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer])
        place = cgutils.alloca_once(builder, integer)
        generic = builder.bitcast(place, pointer)
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.stmxcsr"), [generic])
        bits = builder.or_(builder.load(place), integer(FLUSH_TO_ZERO | DENORMALS_ARE_ZERO))
        builder.store(bits, place)
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr"), [generic])
        return context.get_dummy_value()

    return types.void(), generate


@entry_point
def flush_denormals() -> None:
    """Flush them from now on, for this thread until it ends. Does nothing on other processors than x86."""
    _set_bits()
