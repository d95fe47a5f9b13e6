"""Denormal numbers before and after they are flushed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rlx2_ray.kernels.denormals import IS_X86, flush_denormals

SMALL = np.full(20, 1e-30, np.float32)  # a vector and a rest
DENORMAL = np.full(20, 1e-40, np.float32)


def products() -> list[int]:
    """Of normal numbers, with a denormal one as result, and of a denormal with a great number: their bits."""
    both = np.concatenate([SMALL * np.float32(1e-10), DENORMAL * np.float32(1e20)])
    return both.view(np.int32).tolist()


def before_and_after() -> tuple[list[int], list[int]]:
    before = products()
    flush_denormals()
    return before, products()


@pytest.mark.skipif(not IS_X86, reason="of x86 processors")
def test_denormals_become_zero_in_the_thread_that_asked() -> None:
    with ThreadPoolExecutor(1) as thread:
        before, after = thread.submit(before_and_after).result()
    assert all(before)
    assert not any(after)
    assert all(products())  # in this thread


def test_normal_numbers_stay() -> None:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(flush_denormals).result()
        tiny = np.finfo(np.float32).tiny
        assert thread.submit(lambda: float(np.full(20, tiny).min() * np.float32(1))).result() == tiny
