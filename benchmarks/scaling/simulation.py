"""The actors runtime as a discrete-event simulation: the supervisor's rules, with service times from outside.

Every actor does one call at a time, in the order in which they came. All that is work shares the cores equally; with
more cores than actors nothing waits for one. Not in it: evaluations, checkpoints, deaths, and the network.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from rlx2_ray.config import resolve
from rlx2_ray.distributed.batch_stream import IN_FLIGHT
from rlx2_ray.distributed.rate_limiter import RateLimiter, make_rate_limiter
from rlx2_ray.distributed.supervisor import CALL_STEPS, CALL_UPDATES

WARM_UP = 0.2  # of the simulated time; what happens in it does not count

Then = Callable[[], None]


class Times(NamedTuple):
    """Seconds that the one who is named is busy."""

    env_step: float  # rollout: a step, with its action
    rollout_call: float  # rollout: a call, whatever it collects
    insert_wait: float  # rollout: an insert, besides what the shard does
    shard_insert: float  # shard: `CALL_STEPS` transitions
    shard_call: float  # shard: a call, whatever it does
    shard_sample: float  # shards together: a batch
    learner_call: float  # learner: a call, whatever it learns
    batch: float  # learner: to receive and join a batch
    update: float  # learner
    driver_call: float  # driver: to take in a finished call and start the next
    driver_loop: float  # driver: to wait for those that are done
    driver_task: float  # driver: more of that for each call in progress
    batches_per_chunk: int = 64


class Shape(NamedTuple):
    rollouts: int
    shards: int
    envs_per_rollout: int = 1
    updates_per_env_step: float = 1.0
    cores: float = math.inf
    spread: float = 0.0  # of the time of a rollout's steps between calls: uniform within this fraction


class Outcome(NamedTuple):
    env_steps_per_s: float
    updates_per_s: float
    undone: float  # most updates that were due and not done, after the warm-up
    busy: dict[str, float]  # shares of the time: of the rollouts and shards the mean, of learner and driver

    @property
    def bottleneck(self) -> str:
        return max(self.busy, key=lambda kind: self.busy[kind])


def simulate(times: Times, shape: Shape, seconds: float) -> Outcome:
    """`seconds` of a run."""
    return Simulation(times, shape).run(seconds)


class Clock:
    """Time, and work that shares the cores.

    All work in progress advances at one rate, so what ends first is known from when it began in `_progress`, the work
    that each has had done since the beginning.
    """

    def __init__(self, cores: float) -> None:
        self.now = 0.0
        self._cores = cores
        self._progress = 0.0
        self._working: list[tuple[float, int, Then]] = []
        self._numbers = itertools.count()

    def work(self, seconds: float, then: Then) -> None:
        """Call `then` once `seconds` of one core are done."""
        heapq.heappush(self._working, (self._progress + seconds, next(self._numbers), then))

    def run(self, until: float) -> None:
        while self._working:
            end, _, then = self._working[0]
            rate = min(1.0, self._cores / len(self._working))
            after = self.now + (end - self._progress) / rate
            if after > until:
                self._progress += (until - self.now) * rate
                self.now = until
                return
            heapq.heappop(self._working)
            self.now, self._progress = after, end
            then()


class Actor:
    """Does one thing at a time; knows how long it has been busy."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._busy_s = 0.0
        self._busy_since: float | None = None

    @property
    def busy_s(self) -> float:
        return self._busy_s + (0.0 if self._busy_since is None else self.clock.now - self._busy_since)

    def begin(self) -> None:
        self._busy_since = self.clock.now

    def end(self) -> None:
        self._busy_s, self._busy_since = self.busy_s, None


class Shard(Actor):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self._calls: deque[tuple[float, Then]] = deque()

    def call(self, seconds: float, then: Then) -> None:
        self._calls.append((seconds, then))
        if len(self._calls) == 1:
            self.begin()
            self._work()

    def _work(self) -> None:
        self.clock.work(self._calls[0][0], self._finish)

    def _finish(self) -> None:
        _, then = self._calls.popleft()
        if self._calls:
            self._work()
        else:
            self.end()
        then()


class Rollout(Actor):
    """Steps its lanes one after the other, and waits after each until it is stored."""

    def __init__(self, clock: Clock, times: Times, shards: list[Shard], draw: Callable[[], float]) -> None:
        """`shards`: of each of its lanes."""
        super().__init__(clock)
        self._times = times
        self._shards = shards
        self._draw = draw

    def collect(self, steps: int, then: Then) -> None:
        self.begin()
        self._lanes = deque(self._shards)
        self._steps = steps
        self._then = then
        self.clock.work(self._times.rollout_call, self._next_lane)

    def _next_lane(self) -> None:
        if not self._lanes:
            self.end()
            self._then()
            return
        share = self._steps // len(self._lanes)
        self._steps -= share
        self.clock.work(share * self._times.env_step * self._draw(), self._insert)

    def _insert(self) -> None:
        shard = self._lanes.popleft()
        self.clock.work(
            self._times.insert_wait,
            lambda: shard.call(self._times.shard_call + self._times.shard_insert, self._next_lane),
        )


class Learner(Actor):
    """Works calls off in order, on batches that it asks the shards for in chunks, `IN_FLIGHT` ahead."""

    def __init__(self, clock: Clock, times: Times, shards: list[Shard]) -> None:
        super().__init__(clock)
        self._times = times
        self._shards = shards
        self._calls: deque[tuple[int, Then]] = deque()
        self._left = 0  # updates of the call in progress
        self._ready = 0  # batches
        self._chunks: deque[list[int]] = deque()  # of each, in a list, the shards that have not sent their part
        self._waits = False

    def learn(self, updates: int, then: Then) -> None:
        self._calls.append((updates, then))
        if len(self._calls) == 1:
            self._begin_call()

    def _begin_call(self) -> None:
        self._left = self._calls[0][0]
        self.begin()
        self.clock.work(self._times.learner_call, self._go_on)

    def _go_on(self) -> None:
        if not self._left:
            self._finish_call()
            return
        if not self._ready:
            self._request()
            if self._chunks[0] != [0]:
                self._waits = True
                self.end()
                return
            self._chunks.popleft()
            self._ready = self._times.batches_per_chunk
            self._request()
        updates = min(self._left, self._ready)
        self._left -= updates
        self._ready -= updates
        self.clock.work(updates * (self._times.batch + self._times.update), self._go_on)

    def _finish_call(self) -> None:
        self.end()
        _, then = self._calls.popleft()
        if self._calls:
            self._begin_call()
        then()

    def _request(self) -> None:
        times = self._times
        while len(self._chunks) < IN_FLIGHT:
            missing = [len(self._shards)]
            self._chunks.append(missing)
            for shard in self._shards:
                part = times.batches_per_chunk * times.shard_sample / len(self._shards)
                shard.call(times.shard_call + part, lambda chunk=missing: self._arrive(chunk))  # type: ignore[misc]

    def _arrive(self, chunk: list[int]) -> None:
        chunk[0] -= 1
        if self._waits and self._chunks[0] == [0]:
            self._waits = False
            self.begin()
            self._go_on()


class Driver(Actor):
    """The supervisor's loop: start what may start, take in what is done."""

    def __init__(
        self,
        clock: Clock,
        times: Times,
        limiter: RateLimiter,
        rollouts: list[Rollout],
        call_steps: int,
        learner: Learner,
    ) -> None:
        super().__init__(clock)
        self.env_steps = self.updates = 0
        self.undone = 0.0
        self._env_steps_begun = self._updates_begun = 0
        self._times = times
        self._limiter = limiter
        self._call_steps = call_steps
        self._idle = deque(rollouts)
        self._learner = learner
        self._tasks = 0  # calls in progress
        self._done: list[Then] = []

    def loop(self) -> None:
        self._start_tasks()
        if self._done:
            self.begin()
            self.clock.work(self._times.driver_loop + self._times.driver_task * self._tasks, self._take_what_is_done)

    def _take_what_is_done(self) -> None:
        done, self._done = self._done, []

        def finish() -> None:
            self.end()
            self._tasks -= len(done)
            for handle in done:
                handle()
            self.loop()

        self.clock.work(self._times.driver_call * len(done), finish)

    def _start_tasks(self) -> None:
        while self._idle and self._may_collect():
            self._start_collect(self._idle.popleft())
        updates = self._limiter.updates_allowed(self.env_steps, self._updates_begun)
        ahead = self._updates_begun - self.updates
        is_wanted = updates > 0 if not ahead else ahead <= CALL_UPDATES <= updates
        if is_wanted and self.env_steps:
            self._start_learn(min(updates, CALL_UPDATES))

    def _may_collect(self) -> bool:
        return not self.env_steps or self._limiter.may_collect(self._env_steps_begun, self.updates)

    def _start_collect(self, rollout: Rollout) -> None:
        def handle() -> None:
            self._idle.append(rollout)
            self.env_steps += self._call_steps
            self._note_undone()

        self._env_steps_begun += self._call_steps
        rollout.collect(self._call_steps, self._task(handle))

    def _start_learn(self, updates: int) -> None:
        def handle() -> None:
            self.updates += updates

        self._updates_begun += updates
        self._learner.learn(updates, self._task(handle))

    def _note_undone(self) -> None:
        self.undone = max(self.undone, self._limiter.updates_allowed(self.env_steps, self.updates))

    def _task(self, handle: Then) -> Then:
        """What tells this loop that the call which begins now is done."""
        self._tasks += 1

        def finished() -> None:
            self._done.append(handle)
            if self._busy_since is None:
                self.loop()

        return finished


class Simulation:
    def __init__(self, times: Times, shape: Shape) -> None:
        clock = self._clock = Clock(shape.cores)
        generator = random.Random(0)
        self._shards = [Shard(clock) for _ in range(shape.shards)]
        lanes = range(shape.envs_per_rollout)

        def draw() -> float:
            return generator.uniform(1 - shape.spread, 1 + shape.spread)

        self._rollouts = [
            Rollout(
                clock,
                times,
                [self._shards[(number * shape.envs_per_rollout + lane) % shape.shards] for lane in lanes],
                draw,
            )
            for number in range(shape.rollouts)
        ]
        self._learner = Learner(clock, times, self._shards)
        call_steps = CALL_STEPS * shape.envs_per_rollout
        agent = {"warmup_steps": 1, "updates_per_env_step": shape.updates_per_env_step}
        tolerance = call_steps * shape.rollouts + 2 * CALL_UPDATES
        limiter = make_rate_limiter(resolve({"agent": agent}), env_steps_tolerance=tolerance)
        self._driver = Driver(clock, times, limiter, self._rollouts, call_steps, self._learner)

    def run(self, seconds: float) -> Outcome:
        self._driver.loop()
        self._clock.run(WARM_UP * seconds)
        self._driver.undone = 0
        before, env_steps, updates = self._busy_s(), self._driver.env_steps, self._driver.updates
        self._clock.run(seconds)
        counted = (1 - WARM_UP) * seconds
        return Outcome(
            (self._driver.env_steps - env_steps) / counted,
            (self._driver.updates - updates) / counted,
            self._driver.undone,
            {kind: (busy_s - before[kind]) / counted for kind, busy_s in self._busy_s().items()},
        )

    def _busy_s(self) -> dict[str, float]:
        groups: dict[str, list[Actor]] = {
            "rollouts": [*self._rollouts],
            "shards": [*self._shards],
            "learner": [self._learner],
            "driver": [self._driver],
        }
        return {kind: sum(actor.busy_s for actor in group) / len(group) for kind, group in groups.items()}
