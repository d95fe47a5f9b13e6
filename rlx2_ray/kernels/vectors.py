"""The inner loops of everything sparse, and those over all units of a layer, as LLVM vectors: sums stay in registers.

numba's own vectorizer keeps such sums in memory and, on some processors, stops at half the vector width. These loops
name their vectors: `LANES` samples of a batch are four vectors of 16, which LLVM maps to what the machine has (four
512-bit registers, eight of 256 bits, and so on). A matrix of unit values is (units, LANES), 64-byte aligned: one row
a unit, one lane a sample. `reference.py` says the same in numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH: Final = 16  # floats in a vector
VECTORS: Final = 4
LANES: Final = WIDTH * VECTORS
ALIGNMENT: Final = 64  # bytes

FLOAT, INT32, INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, QUAD = ir.VectorType(FLOAT, WIDTH), ir.VectorType(FLOAT, 4)
ZERO = ir.Constant(VECTOR, [0.0] * WIDTH)

Lanes = list[Any]  # VECTORS vectors: one unit's values


class Emitter:
    """What the loops below need of LLVM, in their own words."""

    def __init__(self, context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> None:
        self.builder = builder
        self._context = context
        self._types = signature.args
        self._args = args

    def data(self, position: int) -> Any:
        """Pointer to the first element of the array that is argument `position`."""
        return self._context.make_array(self._types[position])(self._context, self.builder, self._args[position]).data

    def unit(self, array: Any, row: Any) -> Any:
        """Pointer to a row of a (units, LANES) array."""
        return self.builder.gep(array, [self.builder.mul(row, INT64(LANES))])

    def index(self, array: Any, position: Any) -> Any:
        """An element of an int32 array, as a 64-bit index."""
        return self.builder.zext(self.builder.load(self.builder.gep(array, [position])), INT64)

    def scalar(self, array: Any, position: Any) -> Any:
        return self.builder.load(self.builder.gep(array, [position]))

    def load(self, pointer: Any) -> Lanes:
        return [self._load_vector(self._vector_pointer(pointer, number), VECTOR) for number in range(VECTORS)]

    def store(self, pointer: Any, lanes: Lanes) -> None:
        for number, vector in enumerate(lanes):
            self.builder.store(vector, self._vector_pointer(pointer, number)).align = ALIGNMENT

    def _load_vector(self, pointer: Any, kind: ir.VectorType, align: int = ALIGNMENT) -> Any:
        loaded = self.builder.load(self.builder.bitcast(pointer, kind.as_pointer()))
        loaded.align = align
        return loaded

    def _vector_pointer(self, pointer: Any, number: int) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [INT64(number * WIDTH)]), VECTOR.as_pointer())

    def splat(self, scalar: Any) -> Any:
        """A vector of 16 equal floats."""
        undefined = ir.Constant(VECTOR, ir.Undefined)
        return self.shuffle(self.builder.insert_element(undefined, scalar, INT32(0)), undefined, [0] * WIDTH)

    def shuffle(self, first: Any, second: Any, places: Sequence[int]) -> Any:
        return self.builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(INT32, len(places)), list(places)))

    def multiply_add(self, factor: Any, other: Any, summand: Any) -> Any:
        """factor * other + summand, fused where the machine can."""
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        function = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.fmuladd.v{WIDTH}f32")
        return self.builder.call(function, [factor, other, summand])

    def positive(self, condition: Lanes, lanes: Lanes) -> Lanes:
        """Returns `lanes` where `condition` > 0, and 0 elsewhere."""
        build = self.builder
        return [
            build.select(build.fcmp_ordered(">", gate, ZERO), vector, ZERO)
            for gate, vector in zip(condition, lanes, strict=True)
        ]

    def add(self, first: Lanes, second: Lanes) -> Lanes:
        return [self.builder.fadd(one, other) for one, other in zip(first, second, strict=True)]

    def subtract(self, first: Lanes, second: Lanes) -> Lanes:
        return [self.builder.fsub(one, other) for one, other in zip(first, second, strict=True)]

    def multiply(self, first: Lanes, second: Lanes) -> Lanes:
        return [self.builder.fmul(one, other) for one, other in zip(first, second, strict=True)]

    def multiply_adds(self, factors: Lanes, others: Lanes, summands: Lanes) -> Lanes:
        return [self.multiply_add(*each) for each in zip(factors, others, summands, strict=True)]

    def dot(self, first: Lanes, second: Lanes) -> Any:
        """Returns one vector, whose elements sum up to the dot product."""
        total = self.builder.fmul(first[0], second[0])
        for one, other in zip(first[1:], second[1:], strict=True):
            total = self.multiply_add(one, other, total)
        return total

    def sums(self, vectors: Sequence[Any]) -> Any:
        """The sums of the elements of four vectors, as one vector of four: a third of the work of four single sums."""
        first, second, third, fourth = vectors
        groups = self._fold_lanes(self._fold_lanes(first, second, 1), self._fold_lanes(third, fourth, 1), 2)
        return self._fold_halves(self._fold_halves(groups))

    def sum(self, vector: Any) -> Any:
        while vector.type.count > 1:
            vector = self._fold_halves(vector)
        return self.builder.extract_element(vector, INT32(0))

    def _fold_lanes(self, first: Any, second: Any, size: int) -> Any:
        """In each group of 4 elements: the sums of the halves of `first` and `second`, in turns of `size` elements."""
        low, high = [], []
        for group in range(0, WIDTH, 4):
            for turn in range(0, 2, size):
                for source in (0, WIDTH):
                    low += [source + group + turn + place for place in range(size)]
                    high += [source + group + 2 + turn + place for place in range(size)]
        return self.builder.fadd(self.shuffle(first, second, low), self.shuffle(first, second, high))

    def _fold_halves(self, vector: Any) -> Any:
        count = vector.type.count
        low = self.shuffle(vector, vector, range(count // 2))
        high = self.shuffle(vector, vector, range(count // 2, count))
        return self.builder.fadd(low, high)

    def add_to(self, pointer: Any, value: Any) -> None:
        """*pointer += value, one float or a vector of four."""
        if value.type == FLOAT:
            self.builder.store(self.builder.fadd(self.builder.load(pointer), value), pointer)
            return
        total = self.builder.fadd(self._load_vector(pointer, QUAD, align=4), value)
        self.builder.store(total, self.builder.bitcast(pointer, QUAD.as_pointer())).align = 4

    def loop(self, first: Any, end: Any, step: int, carried: Lanes, body: Callable[[Any, Lanes], Lanes]) -> Lanes:
        """Do `for k in range(first, end, step): carried = body(k, carried)`; returns the last `carried`."""
        build = self.builder
        entry, inside, after = build.block, build.append_basic_block(), build.append_basic_block()
        build.cbranch(build.icmp_signed("<", first, end), inside, after)
        build.position_at_end(inside)
        counter = build.phi(INT64)
        before = [build.phi(VECTOR) for _ in carried]
        updated = body(counter, before)
        following = build.add(counter, INT64(step))
        for phi, start, value in zip([counter, *before], [first, *carried], [following, *updated], strict=True):
            phi.add_incoming(start, entry)
            phi.add_incoming(value, build.block)
        last = build.block
        build.cbranch(build.icmp_signed("<", following, end), inside, after)
        build.position_at_end(after)
        results = []
        for start, value in zip(carried, updated, strict=True):
            phi = build.phi(VECTOR)
            phi.add_incoming(start, entry)
            phi.add_incoming(value, last)
            results.append(phi)
        return results


def _make_row_product(finish: Callable[[Emitter, Lanes, Any], Lanes]) -> Any:
    """A `row_product` whose sum goes through `finish(emit, sum, pointer to the target's old values)`."""

    @intrinsic  # type: ignore[untyped-decorator]
    def row_product(
        typing_context: Any,
        weights: Any,
        units: Any,
        first: Any,
        end: Any,
        start: Any,
        source: Any,
        target: Any,
        row: Any,
    ) -> Any:
        """target[row] = finish(start + sum over k in [first, end) of weights[k] * source[units[k]]).

        weights: float32 (entries,); units: int32 (entries,); source, target: float32 (units, LANES), aligned.
        """
        signature = types.void(weights, units, first, end, start, source, target, row)

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
            emit = Emitter(context, builder, signature, args)
            first, end, start, row = args[2], args[3], args[4], args[7]
            weights, units, source = emit.data(0), emit.data(1), emit.data(5)

            def accumulate(entry: Any, total: Lanes) -> Lanes:
                weight = emit.splat(emit.scalar(weights, entry))
                values = emit.load(emit.unit(source, emit.index(units, entry)))
                return [emit.multiply_add(weight, *pair) for pair in zip(values, total, strict=True)]

            total = emit.loop(first, end, 1, [emit.splat(start)] * VECTORS, accumulate)
            place = emit.unit(emit.data(6), row)
            emit.store(place, finish(emit, total, place))
            return context.get_dummy_value()

        return signature, generate

    return row_product


# ReLU of a unit's inputs; the same without ReLU; a gradient, which passes where the unit was active, whose activation
# the target holds until then; and a gradient that is added to what is there.
row_relu = _make_row_product(lambda emit, total, place: emit.positive(total, total))
row_linear = _make_row_product(lambda emit, total, place: total)
row_gated = _make_row_product(lambda emit, total, place: emit.positive(emit.load(place), total))
row_added = _make_row_product(lambda emit, total, place: emit.add(emit.load(place), total))


@intrinsic  # type: ignore[untyped-decorator]
def row_gradient(
    typing_context: Any, delta: Any, row: Any, source: Any, units: Any, first: Any, end: Any, gradient: Any, bias: Any
) -> Any:
    """Do gradient[k] += delta[row] . source[units[k]] for k in [first, end), and gradient[bias] += sum of delta[row].

    delta, source: float32 (units, LANES), aligned; units: int32 (entries,); gradient: float32 (entries,).
    """
    signature = types.void(delta, row, source, units, first, end, gradient, bias)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        emit = Emitter(context, builder, signature, args)
        row, first, end, bias = args[1], args[4], args[5], args[7]
        source, units, gradient = emit.data(2), emit.data(3), emit.data(6)
        delta = emit.load(emit.unit(emit.data(0), row))

        def product(entry: Any) -> Any:
            return emit.dot(delta, emit.load(emit.unit(source, emit.index(units, entry))))

        def four(entry: Any, _: Lanes) -> Lanes:
            products = [product(builder.add(entry, INT64(offset))) for offset in range(4)]
            emit.add_to(builder.gep(gradient, [entry]), emit.sums(products))
            return []

        def one(entry: Any, _: Lanes) -> Lanes:
            emit.add_to(builder.gep(gradient, [entry]), emit.sum(product(entry)))
            return []

        fours_end = builder.add(first, builder.and_(builder.sub(end, first), INT64(-4)))
        emit.loop(first, fours_end, 4, [], four)
        emit.loop(fours_end, end, 1, [], one)
        total = emit.add(delta[:2], delta[2:])
        emit.add_to(builder.gep(gradient, [bias]), emit.sum(builder.fadd(*total)))
        return context.get_dummy_value()

    return signature, generate


def _store_sums(emit: Emitter, first: Any, end: Any, sums: Any, accumulate: Callable[[Any, Lanes], Lanes]) -> None:
    """Two sums over units first ... end - 1, whose lanes stand one after the other in what `accumulate` gives."""
    totals = emit.loop(first, end, 1, [ZERO] * (2 * VECTORS), accumulate)
    emit.store(emit.unit(sums, INT64(0)), totals[:VECTORS])
    emit.store(emit.unit(sums, INT64(1)), totals[VECTORS:])


@intrinsic  # type: ignore[untyped-decorator]
def unit_sums(typing_context: Any, values: Any, first: Any, end: Any, centers: Any, row: Any, sums: Any) -> Any:
    """Lane by lane over units first ... end - 1: sums[0] = sum of value - centers[row], sums[1] = that of its square.

    Arrays: float32 (units, LANES), aligned.
    """
    signature = types.void(values, first, end, centers, row, sums)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        emit = Emitter(context, builder, signature, args)
        values, sums = emit.data(0), emit.data(5)
        center = emit.load(emit.unit(emit.data(3), args[4]))

        def accumulate(unit: Any, totals: Lanes) -> Lanes:
            distances = emit.subtract(emit.load(emit.unit(values, unit)), center)
            return emit.add(totals[:VECTORS], distances) + emit.multiply_adds(distances, distances, totals[VECTORS:])

        _store_sums(emit, args[1], args[2], sums, accumulate)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def unit_products(
    typing_context: Any, deltas: Any, values: Any, first: Any, end: Any, centers: Any, row: Any, sums: Any
) -> Any:
    """The same with sums[0] = sum of delta, sums[1] = sum of delta * (value - centers[row])."""
    signature = types.void(deltas, values, first, end, centers, row, sums)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        emit = Emitter(context, builder, signature, args)
        deltas, values, sums = emit.data(0), emit.data(1), emit.data(6)
        center = emit.load(emit.unit(emit.data(4), args[5]))

        def accumulate(unit: Any, totals: Lanes) -> Lanes:
            delta = emit.load(emit.unit(deltas, unit))
            distances = emit.subtract(emit.load(emit.unit(values, unit)), center)
            return emit.add(totals[:VECTORS], delta) + emit.multiply_adds(delta, distances, totals[VECTORS:])

        _store_sums(emit, args[2], args[3], sums, accumulate)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def units_normalized(
    typing_context: Any, values: Any, first: Any, end: Any, centers: Any, scales: Any, row: Any, target: Any
) -> Any:
    """Lane by lane over units: target[unit] = ReLU((values[unit] - centers[row]) * scales[row])."""
    signature = types.void(values, first, end, centers, scales, row, target)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        emit = Emitter(context, builder, signature, args)
        values, target = emit.data(0), emit.data(6)
        center, scale = (emit.load(emit.unit(emit.data(place), args[5])) for place in (3, 4))

        def normalize(unit: Any, _: Lanes) -> Lanes:
            distances = emit.subtract(emit.load(emit.unit(values, unit)), center)
            normal = emit.multiply(distances, scale)
            emit.store(emit.unit(target, unit), emit.positive(normal, normal))
            return []

        emit.loop(args[1], args[2], 1, [], normalize)
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def deltas_normalized(
    typing_context: Any, deltas: Any, values: Any, first: Any, end: Any, centers: Any, row: Any, factors: Any
) -> Any:
    """deltas[unit] = factors[0] * deltas[unit] - factors[1] - factors[2] * (values[unit] - centers[row]), of units."""
    signature = types.void(deltas, values, first, end, centers, row, factors)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, args: Sequence[Any]) -> Any:
        emit = Emitter(context, builder, signature, args)
        deltas, values, factors = emit.data(0), emit.data(1), emit.data(6)
        center = emit.load(emit.unit(emit.data(4), args[5]))
        own, common, by_distance = (emit.load(emit.unit(factors, INT64(place))) for place in range(3))

        def change(unit: Any, _: Lanes) -> Lanes:
            place = emit.unit(deltas, unit)
            distances = emit.subtract(emit.load(emit.unit(values, unit)), center)
            taken = emit.multiply_adds(by_distance, distances, common)
            emit.store(place, emit.subtract(emit.multiply(own, emit.load(place)), taken))
            return []

        emit.loop(args[2], args[3], 1, [], change)
        return context.get_dummy_value()

    return signature, generate
