"""The dense network of fewer units that has as many weights as a sparse one: the baseline "tiny" of RLx2.

Source: Tan et al. 2023 (arXiv 2205.15043), section 5, where it is called Tiny.
"""

from __future__ import annotations

from itertools import pairwise


def narrow_widths(inputs: int, hidden: tuple[int, ...], outputs: int, sparsity: float) -> tuple[int, ...]:
    """Widths of the hidden layers, all scaled alike, whose weights are nearest to those of the sparse network.

    Args:
        inputs, hidden, outputs: sizes of the dense network that the sparse one is made from.
        sparsity: fraction of its weights that are zero, in [0, 1).

    Returns:
        Widths of at least 1 and at most `hidden`; of two that are equally near, the narrower.
    """
    wanted = (1 - sparsity) * _weights(inputs, hidden, outputs)
    widest = max(hidden)
    candidates = [tuple(max(1, round(width * unit / widest)) for width in hidden) for unit in range(1, widest + 1)]
    return min(candidates, key=lambda widths: abs(_weights(inputs, widths, outputs) - wanted))


def _weights(inputs: int, hidden: tuple[int, ...], outputs: int) -> int:
    return sum(before * after for before, after in pairwise((inputs, *hidden, outputs)))
