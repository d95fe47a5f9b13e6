"""Dense matrix products through BLAS, in place, from compiled code.

numba's `np.dot` cannot add to its result nor work on parts of rows; the BLAS entry behind it (of scipy) can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

BYTE, INT32, INT64, FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
POINTER = BYTE.as_pointer()
# kind, transpose of a and of b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc: column-major, as Fortran has it
GEMM = ir.FunctionType(
    INT32,
    [*[BYTE] * 3, *[INT64] * 3, *[POINTER] * 2, INT64, POINTER, INT64, *[POINTER] * 2, INT64],
)


@intrinsic  # type: ignore[untyped-decorator]
def gemm(
    typing_context: Any, a: Any, a_stride: Any, a_turned: Any, b: Any, b_turned: Any, c: Any, size: Any, keep: Any
) -> Any:
    """c = keep * c + op(a) op(b) with row-major float32 matrices; op transposes where `turned` is 1.

    Args:
        a: begins at the first element used; its rows are `a_stride` elements apart. Those of b and c are contiguous in
            the arrays' own shape.
        size: (rows of c, columns of c, inner size).
        keep: float32, 0 or 1.
    """
    signature = types.void(a, a_stride, a_turned, b, b_turned, c, size, keep)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        def array(position: int) -> Any:
            return context.make_array(signature.args[position])(context, builder, args[position])

        def pointer(value: Any) -> Any:
            return builder.bitcast(value, POINTER)

        def stored(value: Any) -> Any:
            return pointer(cgutils.alloca_once_value(builder, value))

        def turned(flag: Any) -> Any:
            return builder.select(cgutils.is_not_null(builder, flag), BYTE(ord("t")), BYTE(ord("n")))

        rows, columns, inner = (builder.extract_value(args[6], place) for place in range(3))
        # A row-major matrix is the transpose of a column-major one, so c' = b' a'.
        b_array, c_array = array(3), array(5)
        function = cgutils.get_or_insert_function(builder.module, GEMM, "numba_xxgemm")
        builder.call(
            function,
            [
                *(BYTE(ord("s")), turned(args[4]), turned(args[2]), columns, rows, inner, stored(FLOAT(1.0))),
                *(pointer(b_array.data), builder.extract_value(b_array.shape, 1)),
                *(pointer(array(0).data), args[1]),
                *(stored(args[7]), pointer(c_array.data), builder.extract_value(c_array.shape, 1)),
            ],
        )
        return context.get_dummy_value()

    return signature, generate
