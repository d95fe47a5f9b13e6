"""Environments of members in processes beside this one: the same lanes as `lanes.py`, stepped at once.

Results are the same whatever the timing, since each environment has a seed of its own for every episode, and is waited
for. A process that dies, or does not answer, fails the member whose environment was at work there: a new process takes
its place, in which the others go on where they were, by the actions of their episode. What else it played, it plays
again.
"""

from __future__ import annotations

import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from time import monotonic
from types import TracebackType

import numpy as np

from rlx2_ray.config import ExperimentConfig
from rlx2_ray.envs.lane import EnvironmentFailed, LaneState, Step
from rlx2_ray.experiment.population.lanes import LocalPhysics, Physics
from rlx2_ray.experiment.population.physics_process import (
    DONE,
    NOBODY,
    PLAYING,
    WAITING,
    Answer,
    Closed,
    Dropped,
    Opened,
    Played,
    Records,
    Restored,
    Returned,
    Stepped,
    make_records,
    memory_bytes,
)
from rlx2_ray.experiment.population.playing import Game, Outcome
from rlx2_ray.experiment.population.plays import Play, Plays, Task
from rlx2_ray.seeding import derive_seed
from rlx2_ray.types import Floats, RunFailed, Spaces

PATIENCE_S = 300.0  # for an answer
PROGRAM = """
import sys
sys.path[:] = {path!r}
from rlx2_ray.experiment.population.physics_process import main
main{arguments!r}
"""
Message = Opened | Restored | Stepped | Closed | Dropped


@contextmanager
def physics_in(processes: int, lanes: int, spaces: Spaces) -> Iterator[Physics]:
    """In so many processes; 0: in this one."""
    if not processes:
        yield LocalPhysics()
        return
    with Pool(processes, lanes, spaces) as pool:
        yield pool


class Pool:
    """`Physics` in so many processes, each with room for so many environments of one task."""

    plays = True

    def __init__(self, processes: int, lanes: int, spaces: Spaces, patience_s: float = PATIENCE_S) -> None:
        self._spaces = spaces
        places = -(-lanes // processes)
        self._hosts = [Host(places, spaces, patience_s, self._take) for _ in range(processes)]
        self._plays = Plays(self._hosts)

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

    def play(self, game: Game) -> Play:
        return self._plays.begin(game)

    def look(self, seconds: float) -> None:
        """Take what has come of what is played; wait for it, but not for longer."""
        connections = {host.connection: host for host in self._hosts if host.tasks}
        for ready in wait(list(connections), seconds) if connections else ():
            connections[ready].look()  # type: ignore[index]
        now = monotonic()
        for host in connections.values():
            host.check_progress(now)

    def _take(self, task: Task, outcome: Outcome) -> None:
        task.play.take(task.episode, outcome)
        self._plays.deal()


class Host:
    """A process, and the next one where it has died."""

    def __init__(self, places: int, spaces: Spaces, patience_s: float, take: Callable[[Task, Outcome], None]) -> None:
        """`take` is given what comes of episodes that are played."""
        self._patience_s, self._take = patience_s, take
        self.tasks: deque[Task] = deque()
        self._progress, self._stepped = (0, monotonic()), False
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
        self._at_work[0] = NOBODY
        ours, theirs = socket.socketpair()
        patience = struct.pack("ll", int(self._patience_s) + 1, 0)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)  # it may not read what is long
        program = PROGRAM.format(path=sys.path, arguments=(theirs.fileno(), self._file, *self._arguments))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", program], stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(), self._file)
        )
        theirs.close()
        self.connection = Connection(ours.detach())

    def close(self) -> None:
        self.connection.close()
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
        answer: Answer | None = None
        while answer is None:
            try:
                answer = self._exchange(message)
            except EOFError as death:
                is_of_a_play = self._blame_play(str(death))
                self._replace()
                if not is_of_a_play:
                    raise EnvironmentFailed(f"an environment {death}, as it was made or put where it was") from None
        for kind, text in answer.failures.values():
            raise kind(text)
        return answer

    def _exchange(self, message: Message | None) -> Answer:
        """Send a message, if one is given, and wait for the answer. Raises EOFError, with a few words, for none."""
        try:
            if message is not None:
                self.connection.send(message)
            while self.connection.poll(self._patience_s):
                answer: Answer | Returned = self.connection.recv()
                if isinstance(answer, Answer):
                    return answer
                self._finish_task(answer)
        except BlockingIOError:
            pass
        except (EOFError, OSError):
            raise EOFError(self._death()) from None
        raise EOFError(self._end_late())

    def _death(self) -> str:
        """Of a process that is found dead; what it had said before is heard."""
        with suppress(EOFError, OSError):
            while self.connection.poll(0):
                if isinstance(said := self.connection.recv(), Returned):
                    self._finish_task(said)
        self._process.wait()
        code = self._process.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"ended its process ({how})"

    def _end_late(self) -> str:
        self._process.kill()
        self._process.wait()
        return f"did not answer for {self._patience_s:g} s, and its process was ended"

    # Episodes that are played

    def give(self, task: Task) -> None:
        if not self.tasks:
            self._progress = (int(self._at_work[1]), monotonic())
        self.tasks.append(task)
        self._send_task(task)

    def _send_task(self, task: Task) -> None:
        try:
            self.connection.send(Played(task.ticket, task.play.game, task.episode))
        except BlockingIOError:
            self._process.kill()  # half of the message is sent
        except OSError:  # it has died: who waits for the answer will find that out
            pass

    def drop(self, tasks: Sequence[Task]) -> None:
        with suppress(EnvironmentFailed):  # the next process plays them in vain
            self.ask(Dropped([task.ticket for task in tasks]))
        self.tasks = deque(task for task in self.tasks if task not in tasks)

    def _finish_task(self, returned: Returned) -> None:
        for task in self.tasks:
            if task.ticket == returned.ticket:
                self.tasks.remove(task)
                self._take(task, returned.outcome)
                return

    def look(self) -> None:
        """Take what has come of them, while no step is awaited."""
        try:
            while self.connection.poll(0):
                self._finish_task(self.connection.recv())
        except (EOFError, OSError):
            self._lose_play(self._death())

    def check_progress(self, now: float) -> None:
        """End the process where it is stuck in an episode; who waits for a step finds that out by itself."""
        count, since = self._progress
        done = int(self._at_work[1])
        if done != count or self._stepped:
            self._progress, self._stepped = (done, now), False
        elif now - since > self._patience_s:
            self._lose_play(self._end_late())

    def _lose_play(self, death: str) -> None:
        self._blame_play(death)
        self._replace()

    def _blame_play(self, death: str) -> bool:
        """Whether an episode that was played was at work when the process died; it has failed then."""
        if self._at_work[0] != PLAYING or not self.tasks:
            return False
        task = self.tasks.popleft()
        env = task.play.game.config.env.id
        self._take(task, Outcome(None, f"{env} {death}, in evaluation episode {task.episode}: the run stopped there."))
        return True

    # Steps

    def send_steps(self) -> None:
        if not self.begun or self._sent:
            return
        self._sent, self.begun, self._stepped = self.begun, [], True
        with suppress(OSError):  # it has died: who waits for the answer will find that out
            self.connection.send(Stepped(self._sent))

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
                if self._blame_play(str(death)):
                    self._sent = self._undone()
                else:
                    self._blame(str(death))
                self._replace()

    def _undone(self) -> list[int]:
        return [place for place in self._sent if self.records["outcome"][place] == WAITING]

    def _blame(self, death: str) -> None:
        """One of the environments that were to step: that which was at work, or the next."""
        undone = self._undone()
        if not undone:  # all had been done, but it could not say so
            self._sent = []
            return
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
        self._progress = (int(self._at_work[1]), monotonic())
        if self._sent:
            with suppress(OSError):
                self.connection.send(Stepped(self._sent))
        for task in list(self.tasks):
            self._send_task(task)

    def _is_moved(self, results: Records) -> bool:
        """False where one more is lost over it."""
        self.connection.close()
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
        self.episode_return = float(record["episode_return"])

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
