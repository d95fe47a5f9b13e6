"""Renderers are tried in turn, each in a process of its own; and a film runs at its true speed."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rlx2_ray.experiment.film import CannotDraw, Film, call_with_renderer
from rlx2_ray.types import BadInput, RunFailed
from tests.support.video import read_video


@pytest.fixture(autouse=True)
def without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def draw_with(working: str, *, dies: bool = False) -> tuple[str, int]:
    """Stands for playing an episode: which renderer drew, in which process."""
    renderer = os.environ["MUJOCO_GL"]
    if renderer != working:
        if dies:
            os._exit(1)
        raise CannotDraw(f"no {renderer} here")
    return renderer, os.getpid()


def fail() -> None:
    raise RunFailed("the policy gave nan as action")


@pytest.mark.parametrize("dies", [False, True])
def test_osmesa_follows_where_egl_does_not_draw(dies: bool) -> None:
    renderer, process = call_with_renderer(draw_with, "osmesa", dies=dies)
    assert renderer == "osmesa"
    assert process != os.getpid()
    assert "MUJOCO_GL" not in os.environ


def test_egl_comes_first() -> None:
    assert call_with_renderer(draw_with, "egl")[0] == "egl"


def test_where_none_draws_one_sentence_says_why() -> None:
    with pytest.raises(BadInput, match=r"none of egl, osmesa works here \(egl: no egl here; osmesa: no osmesa here\)"):
        call_with_renderer(draw_with, "none")


def test_chosen_renderer_is_the_only_one_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    with pytest.raises(BadInput, match=r"MUJOCO_GL is 'egl', which does not work here \(egl: no egl here\)"):
        call_with_renderer(draw_with, "osmesa")


def test_other_failures_come_back_as_they_are() -> None:
    with pytest.raises(RunFailed, match="the policy gave nan"):
        call_with_renderer(fail)


class Clock:
    """Draws the number of the step."""

    def __init__(self) -> None:
        self.step = 0

    def render(self) -> Any:
        return np.full((64, 64, 3), self.step, np.uint8)


def draw(film: Film, steps: int) -> None:
    clock = Clock()
    for clock.step in range(steps):
        film.frame(clock)


@pytest.mark.parametrize(("steps_per_s", "frames", "frames_per_s"), [(125, 25, 31.25), (20, 100, 20), (None, 100, 30)])
def test_film_runs_at_its_true_speed(steps_per_s: int | None, frames: int, frames_per_s: float, tmp_path: Path) -> None:
    """100 steps of an environment that takes so many a second; what is beyond about 30 a second is left out."""
    metadata = {} if steps_per_s is None else {"render_fps": steps_per_s}
    lane: Any = SimpleNamespace(env=SimpleNamespace(metadata=metadata), episode=0)
    with Film(tmp_path / "film.mp4", lane) as film:
        draw(film, 100)
        lane.episode = 1
        draw(film, 10)
    video = read_video(tmp_path / "film.mp4")
    assert video.frames_per_s == pytest.approx(frames_per_s, abs=0.01)
    np.testing.assert_allclose(video.frames.mean(axis=(1, 2, 3)), np.arange(0, 100, 100 // frames), atol=3)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # imageio leaves ffmpeg's pipe open
def test_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    lane: Any = SimpleNamespace(env=SimpleNamespace(metadata={}), episode=0)
    (tmp_path / "film.mp4").mkdir()
    with (
        Film(tmp_path / "film.mp4", lane) as film,
        pytest.raises(BadInput, match=r"film\.mp4, which ffmpeg cannot write"),
    ):
        draw(film, 50)
    gc.collect()
