"""The first episode that a policy plays as an MP4 file, drawn without a screen.

MuJoCo chooses its renderer once, when it is imported, and a renderer that does not work may end its process. So each is
tried in a process of its own, and the first that draws also plays.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from rlx2_ray.envs.lane import EnvLane
from rlx2_ray.envs.make import import_renderer
from rlx2_ray.types import BadInput

FRAMES_PER_S = 30  # at most half as many again; drawing without a GPU takes far longer than acting
RENDERER = "MUJOCO_GL"  # MuJoCo's own variable
HEADLESS = ("egl", "osmesa")
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class CannotDraw(BadInput):
    """This process's renderer does not draw; the text is the reason, as the renderer gives it."""


def call_with_renderer(
    work: Callable[Arguments, Result], *arguments: Arguments.args, **options: Arguments.kwargs
) -> Result:
    """Call `work` in a process whose renderer draws: MUJOCO_GL's, or else EGL, or else OSMesa, or else a screen's.

    `work`, a function of a module, raises CannotDraw where its renderer does not draw. Raises BadInput where none does.
    """
    refusals: dict[str, str] = {}
    for renderer in _renderers():
        # A fresh interpreter, in which nothing has imported MuJoCo.
        with ProcessPoolExecutor(1, get_context("spawn"), _choose, (renderer,)) as pool:
            try:
                return pool.submit(work, *arguments, **options).result()
            except CannotDraw as error:
                refusals[renderer] = str(error)
            except BrokenProcessPool:
                refusals[renderer] = "its process died"
            except KeyboardInterrupt:  # the pool would wait until all is played
                for process in multiprocessing.active_children():
                    process.kill()
                raise
    raise BadInput(_refusal(refusals))


def _renderers() -> tuple[str, ...]:
    if chosen := os.environ.get(RENDERER):
        return (chosen,)
    has_screen = sys.platform != "linux" or any(os.environ.get(name) for name in SCREENS)
    return (*HEADLESS, "glfw") if has_screen else HEADLESS


def _refusal(refusals: dict[str, str]) -> str:
    reasons = "; ".join(f"{renderer}: {reason}" for renderer, reason in refusals.items())
    if chosen := os.environ.get(RENDERER):
        return (
            f"--video needs a renderer, and {RENDERER} is {chosen!r}, which does not work here ({reasons}): "
            "unset it, or set it to egl, osmesa or glfw, whichever is installed."
        )
    return (
        f"--video needs a renderer, and none of {', '.join(refusals)} works here ({reasons}): install one "
        "(on Debian libegl1 or libosmesa6), or leave --video out."
    )


def _choose(renderer: str) -> None:
    os.environ[RENDERER] = renderer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that waits for this one ends it
    sys.unraisablehook = _ignore  # gymnasium's viewer complains when it is dropped half made


def _ignore(error: object) -> None:
    pass


class Film:
    """Writes a lane's first episode to an MP4 file, at its true speed. Raises CannotDraw, before there is any file."""

    def __init__(self, path: Path, lane: EnvLane) -> None:
        self._path = path
        self._lane = lane
        self._writer: Any = None
        self._steps = 0
        steps_per_s = lane.env.metadata.get("render_fps", FRAMES_PER_S)
        self._stride = max(1, round(steps_per_s / FRAMES_PER_S))
        self._frames_per_s = steps_per_s / self._stride

    def __enter__(self) -> Film:
        return self

    def __exit__(self, *error: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def frame(self, env: Any) -> None:
        """Take a frame; to be called once a step, of which some are left out where steps are short."""
        self._steps += 1
        if self._lane.episode != 0 or self._steps % self._stride != 1 % self._stride:
            return
        try:
            image = env.render()
        except Exception as error:  # whatever a renderer raises that has no screen, driver or package
            raise CannotDraw(_one_line(error)) from None
        try:
            self._write(image)
        except OSError:  # whose text is all that ffmpeg was told
            raise BadInput(f"--video is {self._path}, which ffmpeg cannot write: name another file.") from None

    def _write(self, image: Any) -> None:
        import imageio

        if self._writer is None:
            self._writer = imageio.get_writer(
                self._path, fps=self._frames_per_s, macro_block_size=None, ffmpeg_log_level="quiet"
            )
        self._writer.append_data(image)


def load_renderer() -> None:
    """Import the renderer. Raises CannotDraw where MuJoCo cannot even be imported with the chosen renderer."""
    try:
        import_renderer()
    except Exception as error:  # whatever its OpenGL bindings raise
        raise CannotDraw(_one_line(error)) from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
