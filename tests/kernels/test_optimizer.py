"""Adam and Polyak averaging against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlx2_ray.kernels.optimizer import Moments, adam_step, polyak_update
from rlx2_ray.types import Floats

SIZE, STEPS = 100, 30
BETAS = (0.9, 0.999)
SCALES = np.geomspace(1e-6, 1e3, SIZE, dtype=np.float32)  # of the gradients


def draw(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def draw_gradients() -> Floats:
    """(STEPS, SIZE); the first tenth are always 0, the second tenth after the third step."""
    gradients = draw(STEPS, SIZE, seed=1) * SCALES
    gradients[:, : SIZE // 10] = 0
    gradients[3:, SIZE // 10 : SIZE // 5] = 0
    return gradients


@pytest.mark.parametrize("learning_rate", [3e-4, 0.1])
@pytest.mark.parametrize(("decay", "betas"), [(0.0, BETAS), (0.01, BETAS), (0.0, (0.5, 0.5)), (0.0, (0.0, 0.99))])
def test_adam_equals_that_of_torch(learning_rate: float, decay: float, betas: tuple[float, float]) -> None:
    parameters, moments = draw(SIZE), Moments(np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32))
    tensor = torch.from_numpy(parameters.copy()).requires_grad_()
    optimizer = torch.optim.Adam([tensor], lr=learning_rate, weight_decay=decay, betas=betas)
    for step, gradient in enumerate(draw_gradients(), start=1):
        tensor.grad = torch.from_numpy(gradient)
        optimizer.step()
        adam_step(parameters, gradient.copy(), moments, step, learning_rate, decay, *betas)
        state = optimizer.state[tensor]
        assert np.allclose(parameters, tensor.detach().numpy(), rtol=1e-6, atol=1e-6)
        sizes = SCALES + np.float32(decay)  # decay is a large addend of the smallest gradients: torch rounds otherwise
        assert np.allclose(moments.first / sizes, state["exp_avg"].numpy() / sizes, rtol=1e-6, atol=1e-6)
        second = state["exp_avg_sq"].numpy()
        assert np.allclose(moments.second, second, rtol=1e-5 if decay else 1e-6, atol=0)


def test_adam_by_hand() -> None:
    # The first step of Adam is the learning rate against the gradient's sign, whatever its size.
    parameters, gradient = np.array([1, 1, 1], np.float32), np.array([1e-3, -50, 0], np.float32)
    moments = Moments(np.zeros(3, np.float32), np.zeros(3, np.float32))
    adam_step(parameters, gradient, moments, 1, 0.25, 0.0, *BETAS)
    assert np.allclose(parameters, [0.75, 1.25, 1])
    assert np.allclose(moments.first, [1e-4, -5, 0])
    assert np.allclose(moments.second, [1e-9, 2.5, 0])


def test_adam_leaves_no_gradient() -> None:
    gradient = draw(SIZE)
    adam_step(draw(SIZE), gradient, Moments(draw(SIZE), np.ones(SIZE, np.float32)), 1, 0.1, 0.0, *BETAS)
    assert not gradient.any()


@pytest.mark.parametrize("tau", [0.0, 0.005, 0.3, 1.0])
def test_polyak_equals_lerp(tau: float) -> None:
    target, online = draw(SIZE), draw(SIZE, seed=1)
    expected = torch.lerp(torch.from_numpy(target), torch.from_numpy(online), tau).numpy()
    kept = online.copy()
    polyak_update(target, online, tau)
    assert np.allclose(target, expected, rtol=1e-6, atol=1e-7)
    assert np.array_equal(online, kept)
