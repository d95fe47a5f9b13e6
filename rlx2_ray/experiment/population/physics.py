"""Environments of members in processes beside this one: the same lanes as `lanes.py`, stepped at once.

Results are the same whatever the timing, since each environment has a seed of its own for every episode, and is waited
for. A process that dies, or does not answer, fails the member whose environment was at work there: a new process takes
its place, in which the others go on where they were, by the actions of their episode.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType

import numpy as np

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvironmentFailed, LaneState, Step
from rlx2_ray.experiment.population.physics_process import (
    DONE,
    WAITING,
    Answer,
    Closed,
    Opened,
    Records,
    Restored,
    Stepped,
    make_records,
    memory_bytes,
)
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import Floats, RunFailed, Spaces

PATIENCE_S = 300.0  # for an answer
PROGRAM = """
import sys
sys.path[:] = {path!r}
from rlx2_ray.experiment.population.physics_process import main
main{arguments!r}
"""
Message = Opened | Restored | Stepped | Closed


class Pool:
    """So many processes, each with room for so many environments of one task."""

    def __init__(self, processes: int, lanes: int, spaces: Spaces, patience_s: float = PATIENCE_S) -> None:
        self._spaces = spaces
        places = -(-lanes // processes)
        self._hosts = [Host(places, spaces, patience_s) for _ in range(min(processes, lanes))]

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts:
            host.close()

    def make_lane(self, config: ExperimentConfig, stream: str) -> RemoteLane:
        """Where there are fewest so far."""
        host = max(self._hosts, key=lambda each: len(each.free))
        return RemoteLane(self, host, config, stream, self._spaces)

    def send_steps(self) -> None:
        """Have all begun steps taken."""
        for host in self._hosts:
            host.send_steps()


class Host:
    """A process, and the next one where it has died."""

    def __init__(self, places: int, spaces: Spaces, patience_s: float) -> None:
        self._patience_s = patience_s
        self._arguments = (places, spaces.observation_size, spaces.action_size)
        self._file = os.memfd_create("rlx2-physics")
        size = memory_bytes(*self._arguments)
        os.ftruncate(self._file, size)
        self.records, self._at_work = make_records(mmap.mmap(self._file, size), *self._arguments)
        self.lanes: dict[int, RemoteLane] = {}
        self.free = set(range(places))
        self.begun: list[int] = []  # places whose steps are to be sent
        self._sent: list[int] = []  # and those that are not answered
        self._failures: dict[int, tuple[type[Exception], str]] = {}
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        program = PROGRAM.format(path=sys.path, arguments=(theirs.fileno(), self._file, *self._arguments))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", program], stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(), self._file)
        )
        theirs.close()
        self._connection = Connection(ours.detach())

    def close(self) -> None:
        self._connection.close()
        self._end_process()
        os.close(self._file)

    def _end_process(self) -> None:
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, message: Message) -> Answer:
        """Raises what an environment raised, and EnvironmentFailed where the process died over it."""
        self._finish_steps()
        try:
            answer = self._exchange(message)
        except EOFError as death:
            self._replace()
            raise EnvironmentFailed(f"an environment {death}, as it was made or put where it was") from None
        for kind, text in answer.failures.values():
            raise kind(text)
        return answer

    def _exchange(self, message: Message | None) -> Answer:
        """Send a message, if one is given, and wait for the answer. Raises EOFError, with a few words, for none."""
        try:
            if message is not None:
                self._connection.send(message)
            if self._connection.poll(self._patience_s):
                answer: Answer = self._connection.recv()
                return answer
        except (EOFError, OSError):
            self._process.wait()
            code = self._process.returncode
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise EOFError(f"ended its process ({how})") from None
        self._process.kill()
        self._process.wait()
        raise EOFError(f"did not answer for {self._patience_s:g} s, and its process was ended")

    def send_steps(self) -> None:
        if not self.begun or self._sent:
            return
        self._sent, self.begun = self.begun, []
        with suppress(OSError):  # it has died: who waits for the answer will find that out
            self._connection.send(Stepped(self._sent))

    def finish(self, place: int) -> None:
        """Wait for the step at a place. Raises EnvironmentFailed where it was refused."""
        self._finish_steps()
        if (failure := self._failures.pop(place, None)) is not None:
            raise EnvironmentFailed(failure[1])

    def _finish_steps(self) -> None:
        """Of all that were sent; where the process dies over one, the others' are taken in the next process."""
        while self._sent:
            try:
                self._failures |= self._exchange(None).failures
                self._sent = []
            except EOFError as death:
                self._blame(str(death))
                self._replace()

    def _blame(self, death: str) -> None:
        """One of the environments that were to step: that which was at work, or the next."""
        undone = [place for place in self._sent if self.records["outcome"][place] == WAITING]
        guilty = int(self._at_work[0])
        guilty = guilty if guilty in undone else undone[0]
        self._lose(guilty, death)
        self._sent = [place for place in undone if place != guilty]

    def _lose(self, place: int, death: str) -> None:
        lane = self.lanes[place]
        self._failures[place] = (EnvironmentFailed, f"{lane.described} {death}")
        lane.is_lost = True

    def _replace(self) -> None:
        """Go on in a new process with all environments but those that are lost."""
        results = self.records.copy()
        while not self._is_moved(results):
            pass
        self.records[:] = results
        self._sent = [place for place in self._sent if not self.lanes[place].is_lost]
        if self._sent:
            self._connection.send(Stepped(self._sent))

    def _is_moved(self, results: Records) -> bool:
        """False where one more is lost over it."""
        self._connection.close()
        self._start()
        for place, lane in self.lanes.items():
            if lane.is_lost:
                continue
            try:
                answer = self._exchange(Opened(place, *lane.recipe, lane.state_now(results[place])))
            except EOFError as death:
                self._lose(place, f"{death} when it was played again")
                return False
            if answer.failures or not answer.is_same:
                self._lose(place, "did not repeat its episode when another had ended their process")
        return True


class RemoteLane:
    """`EnvLane`, of which a step is begun and finished apart."""

    def __init__(self, pool: Pool, host: Host, config: ExperimentConfig, stream: str, spaces: Spaces) -> None:
        self.spaces = spaces
        self.recipe = (config, stream)
        self.is_lost = False
        self._pool, self._host = pool, host
        self._actions: list[Floats] = []
        self._begun: Floats | None = None
        self._place = min(host.free)
        host.ask(Opened(self._place, config, stream, None))
        host.free.remove(self._place)
        host.lanes[self._place] = self
        self._look()

    def _look(self) -> None:
        record = self._host.records[self._place]
        self.observation: Floats = record["observation"].copy()
        self.episode, self.episode_steps = int(record["episode"]), int(record["episode_steps"])

    @property
    def described(self) -> str:
        """What is at work, and where, as `EnvLane` says it."""
        config, stream = self.recipe
        seed = derive_seed(config.seed, stream, 0, self.episode)
        return f"{config.env.id} at step {self.episode_steps + 1} of the episode of seed {seed}"

    def begin_step(self, action: Floats) -> None:
        record = self._host.records[self._place]
        record["action"], record["outcome"] = action, WAITING
        self._begun = action
        if not self.is_lost:
            self._host.begun.append(self._place)

    def finish_step(self) -> Step:
        self._pool.send_steps()
        action = self._begun
        assert action is not None
        try:
            self._host.finish(self._place)
        finally:
            self._begun = None
        record = self._host.records[self._place]
        episode = self.episode
        self._look()
        self._actions = [*self._actions, action] if self.episode == episode else []
        return Step(
            record["next_observation"].copy(),
            float(record["reward"]),
            bool(record["terminated"]),
            bool(record["truncated"]),
        )

    def state(self) -> LaneState:
        return LaneState(self.episode, _side_by_side(self._actions, self.spaces.action_size), self.observation)

    def state_now(self, record: np.void) -> LaneState:
        """After a step that is done already, but was not taken note of, too."""
        if self._begun is None or record["outcome"] != DONE:
            return self.state()
        actions = [*self._actions, self._begun] if int(record["episode"]) == self.episode else []
        taken = _side_by_side(actions, self.spaces.action_size)
        return LaneState(int(record["episode"]), taken, record["observation"].copy())

    def restore(self, state: LaneState) -> bool:
        if self.is_lost:
            raise RunFailed("The environment's process has ended: resume the run.")
        is_same = self._host.ask(Restored(self._place, state)).is_same
        self._look()
        self._actions = list(state.actions) if is_same else []
        return is_same

    def close(self) -> None:
        self._host.lanes.pop(self._place, None)
        self._host.free.add(self._place)
        if not self.is_lost:
            self._host.ask(Closed(self._place))


def _side_by_side(actions: Sequence[Floats], action_size: int) -> Floats:
    return np.asarray(actions, np.float32).reshape(-1, action_size)
