"""The narrow dense network against trying every width, and by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rlx2_ray.sparse.widths import narrow_widths


def test_by_hand() -> None:
    # 2 -> w -> w -> 1 has w^2 + 3 w weights: 4, 10, 18, 28, 40 for w = 1 ... 5. Half of 40 is 20, nearest to 18.
    assert narrow_widths(2, (5, 5), 1, 0.5) == (3, 3)
    assert narrow_widths(2, (5, 5), 1, 0.0) == (5, 5)
    assert narrow_widths(2, (5, 5), 1, 0.99) == (1, 1)
    assert narrow_widths(2, (5, 5), 1, 0.65) == (2, 2), "14 is as far from 10 as from 18: the narrower"


def test_layers_keep_their_proportions() -> None:
    # 10 w + w^2 / 2 + w = 8 440 is w = 119.4.
    assert narrow_widths(10, (400, 200), 2, 0.9) == (119, 60)


@given(st.integers(1, 20), st.integers(1, 60), st.integers(1, 5), st.floats(0, 0.99))
def test_no_other_width_is_nearer(inputs: int, width: int, outputs: int, sparsity: float) -> None:
    def error(width_: int) -> float:
        return abs(width_ * (inputs + width_ + outputs) - (1 - sparsity) * width * (inputs + width + outputs))

    (first, second) = narrow_widths(inputs, (width, width), outputs, sparsity)
    assert first == second <= width
    assert error(first) == min(map(error, range(1, width + 1)))
