"""P agents on one device, a slot each, updated together: rows of [P, ...] tensors, one set of operations for all.

What has a shape is the same for all members (`Shapes`); everything else is data of a slot: which slots update and which
of them their policy, how far windows go, learning rates, discounts, noise, structure, age. An update is, in this order,

    1. on the host: who is due for what, as numbers of each slot (`_plan`)
    2. windows from the slots' replay, noise by counter
    3. the critics' gradient, which members read that grow by it; where they have a topology event they are rewired by
       `agents/evolution/`
    4. Adam's step of the critics, in which slots that rest or were rewired stay as they are
    5. where any policy is due: the same of the policies, then temperatures, targets and averages

so that members which rest cost time and change nothing. No shape and no branch of 2 to 5 depends on values on the
device, events apart.

Shapes: P slots, B batch, n window, K samples of a target.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from rlx2_ray.agents.population import sac, td3
from rlx2_ray.agents.population.adam import RESTING, Rates, adam_step
from rlx2_ray.agents.population.philox import below, key_of, normals
from rlx2_ray.agents.population.replay import Replays
from rlx2_ray.agents.population.shapes import Shapes
from rlx2_ray.agents.population.stack import Stack, forward
from rlx2_ray.agents.population.trained import TrainedStack
from rlx2_ray.agents.population.twin_critics import regress
from rlx2_ray.agents.population.windows import Windows
from rlx2_ray.sparse.plan import CRITICS
from rlx2_ray.types import Floats

STREAMS = ("population replay", "population target noise", "population policy noise")
METRICS = ("critic_loss", "q_mean", "policy_loss", "temperature", "entropy")


class Member(Protocol):
    """What a population asks of whoever has a slot: `slot_learner.py` says it."""

    slot: int
    learner_steps: int  # updates done
    normalizes: bool  # its observations
    decays: bool  # its weights
    samples: int  # actions that a target of it draws

    def next_window(self) -> int:
        """The steps that windows of the next update have at most."""
        ...

    def begin_update(self) -> list[float]:
        """Count an update; what is due in it, in the order of `Due` from `critic` on."""
        ...

    @property
    def policy_is_due(self) -> bool:
        """Whether the update that was begun is one of the policy as well."""
        ...

    def reads_gradient(self, model: str) -> bool:
        """Whether its call of the optimizer of "policy" or "critic" is a topology event, or counts at the next."""
        ...

    def read_gradient(self, model: str, inputs: Callable[[], Floats]) -> None:
        """Do so; `inputs` (inputs, B) of the batch that it is of."""
        ...

    def follows(self, name: str) -> bool:
        """Whether its target or average of that name follows another model."""
        ...

    def follow_structure(self, name: str) -> None:
        """Do so, after a Polyak step of the model of that name."""
        ...


class Noise(NamedTuple):
    """Standard normal: of TD3's targets (P, B, K, A), of SAC's (P, B, n, A), and of SAC's policy (P, B, A)."""

    targets: Tensor
    policy: Tensor | None


class Due(NamedTuple):
    """An update of some slots, (P,) each: what to do in each, 0 (or RESTING) where nothing."""

    counters: Tensor  # int64: the number of the update of its member, from 1
    sizes: Tensor  # int64: transitions in the replay
    oldest: Tensor  # int64: transitions that the replay has forgotten
    n_step: Tensor  # int64
    critic: Rates
    policy: Rates
    temperature: Rates
    tau_critic: Tensor
    tau_policy: Tensor
    average: Tensor  # rate of the policy's moving average
    is_updated: Tensor  # 1 or 0
    is_policy_updated: Tensor  # 1 or 0


class Constants(NamedTuple):
    """What a member has for all its updates."""

    powers: Tensor  # (P, n + 1), of the discount, from 0 on
    weight_decay: Tensor  # (P,)
    noise: Tensor  # (P,), TD3's standard deviation
    clip: Tensor  # (P,), TD3's
    target_entropy: Tensor  # (P,), SAC's
    mean: Tensor  # (P, O), of observations that are normalised; else 0
    scale: Tensor  # (P, O), the same; else 1
    bound: Tensor  # (P, 1), of normalised observations; else infinite
    blend: Tensor  # (P,), `target.mean`
    beta: Tensor  # (P,), of the softmax over samples
    samples: Tensor  # (P,), int64, of this softmax


class Population:
    def __init__(self, shapes: Shapes, slots: int, rows: int, device: str = "cpu") -> None:
        """`rows`: of each slot's replay, to begin with; it grows."""
        torch.set_num_threads(1)  # as on the other engines: the order of a sum, and its last bit, stay the same
        torch.set_flush_denormal(True)
        self.shapes, self.slots, self.device = shapes, slots, device
        self.members: dict[int, Member] = {}
        observation_size, action_size = shapes.observation_size, shapes.action_size
        room = shapes.room
        trained = room.own_steps, room.rescaled
        normalized = torch.zeros(slots, CRITICS, dtype=torch.bool, device=device) if room.critic_norm else None
        self.policy = TrainedStack(slots, 1, shapes.policy, device, None, *trained)
        self.critic = TrainedStack(slots, CRITICS, shapes.critic, device, normalized, *trained)
        self.targets = {"target_critic": Stack(slots, CRITICS, shapes.critic, device, normalized)}
        if shapes.algo == "td3":
            self.targets["target_policy"] = Stack(slots, 1, shapes.policy, device)
        self.average = Stack(slots, 1, shapes.policy, device) if room.average else None
        self.normalized = normalized
        self.replays = Replays(slots, rows, observation_size, action_size, device)

        def of_slots(*rest: int, fill: float = 0.0, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.full((slots, *rest), fill, dtype=dtype, device=device)

        self.constants = Constants(
            powers=of_slots(room.n_step + 1, fill=1),
            weight_decay=of_slots(),
            noise=of_slots(),
            clip=of_slots(),
            target_entropy=of_slots(),
            mean=of_slots(observation_size),
            scale=of_slots(observation_size, fill=1),
            bound=of_slots(1, fill=np.inf),
            blend=of_slots(),
            beta=of_slots(),
            samples=of_slots(fill=1, dtype=torch.int64),
        )
        self.log_temperature, self.temperature_first, self.temperature_second = (of_slots() for _ in range(3))
        self._keys = of_slots(len(STREAMS), 2, dtype=torch.int64)
        self.sums = of_slots(len(METRICS), dtype=torch.float64)

    def stacks(self) -> dict[str, Stack]:
        """All models by name."""
        average = {} if self.average is None else {"average_policy": self.average}
        return {"policy": self.policy, "critic": self.critic, **self.targets, **average}

    def seat(self, slot: int, member: Member, constants: Constants, seed: int) -> None:
        """Give a free slot, which is empty, to a member, whose `constants` have no axis for slots."""
        if slot in self.members:
            raise ValueError(f"slot {slot} is taken")
        self.vacate(slot)
        self.members[slot] = member
        for ours, given in zip(self.constants, constants, strict=True):
            ours[slot] = given
        self._keys[slot] = torch.from_numpy(np.stack([key_of(seed, stream) for stream in STREAMS]))

    def vacate(self, slot: int) -> None:
        """Leave nothing of a member, so that what is in the slot stays finite."""
        self.members.pop(slot, None)
        for stack in self.stacks().values():
            stack.clear(slot)
        if self.normalized is not None:
            self.normalized[slot] = False
        self.replays.clear(slot)
        for rows in (self.log_temperature, self.temperature_first, self.temperature_second, self.sums):
            rows[slot] = 0

    def outputs(self, observations: Floats) -> Floats:
        """(P, outputs) of every slot's policy at its observation (P, O)."""
        seen = self._normalized(torch.from_numpy(observations).to(self.device).unsqueeze(1))
        outputs: Floats = forward(self.policy.all, seen).outputs.squeeze(1).cpu().numpy()
        return outputs

    def update(self, members: Sequence[Member]) -> None:
        """One update of some members, from their replay."""
        due = self._plan(members)
        self._apply(members, due, *self._draw(due))

    def update_with(self, members: Sequence[Member], windows: Windows, noise: Noise) -> None:
        """The same from given windows and noise, of all slots."""
        self._apply(members, self._plan(members), windows, noise)

    def _plan(self, members: Sequence[Member]) -> Due:
        """Count the update in each member, and tell what is due in its slot."""
        whole, size = np.zeros((4, self.slots), np.int64), len(RESTING)
        whole[1:3] = self.replays.size, self.replays.inserted - self.replays.size
        whole[3] = 1
        rates = np.zeros((len(Due._fields) - 7 + 3 * size, self.slots))
        rates[: 3 * size] = np.tile(RESTING, 3)[:, np.newaxis]
        for member in members:
            slot = member.slot
            whole[0, slot], whole[3, slot] = member.learner_steps + 1, member.next_window()
            rates[:, slot] = member.begin_update()
        floats = torch.from_numpy(rates.astype(np.float32)).to(self.device)
        optimizers = (Rates(*floats[start : start + size]) for start in range(0, 3 * size, size))
        return Due(*torch.from_numpy(whole).to(self.device), *optimizers, *floats[3 * size :])

    def _draw(self, due: Due) -> tuple[Windows, Noise]:
        shapes = self.shapes
        size, actions = shapes.batch_size, shapes.action_size
        numbers = below(self._keys[:, 0], due.counters, due.sizes, size)
        windows = self.replays.sample(numbers, due.oldest, due.n_step, shapes.room.n_step, shapes.every_step)
        # Each part by itself, so that a member's numbers do not depend on how many others have.
        parts = range(shapes.room.n_step if shapes.algo == "sac" else shapes.room.samples)
        drawn = [normals(self._keys[:, 1], due.counters, size * actions, part) for part in parts]
        targets = torch.stack(drawn, -1).view(-1, size, actions, len(parts)).transpose(2, 3)
        if shapes.algo == "td3":
            return windows, Noise(targets, None)
        policy = normals(self._keys[:, 2], due.counters, size * actions).view(-1, size, actions)
        return windows, Noise(targets, policy)

    def _apply(self, members: Sequence[Member], due: Due, windows: Windows, noise: Noise) -> None:
        windows = windows._replace(
            observations=self._normalized(windows.observations),
            next_observations=self._normalized(windows.next_observations),
        )
        temperature = self.log_temperature.exp()
        loss, q_mean = regress(self.critic, windows, self._targets(windows, noise, temperature))
        self._read_gradients(members, "critic", windows)
        self.critic.step(due.critic, self._weight_decay(members))
        self._note(due.is_updated, critic_loss=loss, q_mean=q_mean)
        with_policy = [member for member in members if member.policy_is_due]
        if with_policy:
            self._update_policies(with_policy, due, windows, noise, temperature)

    def _targets(self, windows: Windows, noise: Noise, temperature: Tensor) -> Tensor:
        constants, critics = self.constants, self.targets["target_critic"]
        if self.shapes.algo == "sac":
            return sac.target_q(
                windows, self.policy, critics, noise.targets, constants.powers, temperature, constants.blend
            )
        targets = self._td3_targets(range(self.slots), windows, noise.targets[:, :, :1])
        several = sorted(slot for slot, member in self.members.items() if member.samples > 1)
        if several:  # passes for all samples are for those alone that have some
            of_these = Windows(*(each[several] for each in windows))
            targets[several] = self._td3_targets(several, of_these, noise.targets[several])
        return targets

    def _td3_targets(self, slots: Sequence[int], windows: Windows, noise: Tensor) -> Tensor:
        """Of so many slots, with windows and noise of these."""
        policy, critics = self.targets["target_policy"], self.targets["target_critic"]
        is_whole = len(slots) == self.slots
        of_these = self.constants if is_whole else Constants(*(each[list(slots)] for each in self.constants))
        return td3.target_q(
            windows,
            policy.all if is_whole else policy.of(slots),
            critics.all if is_whole else critics.of(slots),
            noise * of_these.noise.view(-1, 1, 1, 1),
            of_these.clip,
            of_these.powers,
            of_these.blend,
            td3.Softmax(of_these.beta, of_these.samples),
        )

    def _update_policies(
        self, members: Sequence[Member], due: Due, windows: Windows, noise: Noise, temperature: Tensor
    ) -> None:
        if self.shapes.algo == "sac":
            assert noise.policy is not None
            loss, log_probs = sac.policy_gradient(
                self.policy, self.critic, windows.observations, noise.policy, temperature
            )
        else:
            loss = td3.policy_gradient(self.policy, self.critic, windows.observations)
        self._read_gradients(members, "policy", windows)
        self.policy.step(due.policy, self._weight_decay(members))
        self._note(due.is_policy_updated, policy_loss=loss)
        if self.shapes.algo == "sac":
            gradient = -(log_probs + self.constants.target_entropy)  # of -log(alpha) * (log pi + target entropy)
            adam_step(self.log_temperature, gradient, self.temperature_first, self.temperature_second, due.temperature)
            self._note(due.is_policy_updated, temperature=temperature, entropy=-log_probs)
        self._follow("target_critic", self.critic, due.tau_critic, members)
        if self.shapes.algo == "td3":
            self._follow("target_policy", self.policy, due.tau_policy, members)
        if self.average is not None:
            self._follow("average_policy", self.policy, due.average, members)

    def _follow(self, name: str, online: TrainedStack, rate: Tensor, members: Sequence[Member]) -> None:
        """One Polyak step; targets take on the structure of the online model, or keep one of their own."""
        target = self.stacks()[name]
        target.parameters.lerp_(online.parameters, rate.view(-1, 1, 1).expand_as(target.parameters))
        following = [member for member in members if member.follows(name)]
        online.hold_groups(target, [member.slot for member in following])
        for member in following:
            member.follow_structure(name)

    def _read_gradients(self, members: Sequence[Member], model: str, windows: Windows) -> None:
        """The topology events that are due, and what counts at later ones, with the gradient that is there."""
        for member in members:
            if member.reads_gradient(model):
                member.read_gradient(model, self._inputs_at(member.slot, model, windows))

    def _inputs_at(self, slot: int, model: str, windows: Windows) -> Callable[[], Floats]:
        def inputs() -> Floats:
            parts = [windows.observations[slot], *([windows.actions[slot]] if model == "critic" else [])]
            return np.ascontiguousarray(torch.cat(parts, 1).T.cpu().numpy())

        return inputs

    def _normalized(self, observations: Tensor) -> Tensor:
        """Of each slot (P, ..., O), as `networks.policy_reader.Normalization` does."""
        if not any(member.normalizes for member in self.members.values()):
            return observations
        constants = self.constants
        wide = (-1, *(1,) * (observations.dim() - 2), observations.shape[-1])
        bound = constants.bound.view(-1, *(1,) * (observations.dim() - 1))
        scaled = (observations - constants.mean.view(wide)) * constants.scale.view(wide)
        return torch.minimum(torch.maximum(scaled, -bound), bound)

    def _weight_decay(self, members: Sequence[Member]) -> Tensor | None:
        return self.constants.weight_decay if any(member.decays for member in members) else None

    def _note(self, weights: Tensor, **values: Tensor) -> None:
        """Add to the sums of the slots with weight 1."""
        for name, value in values.items():
            self.sums[:, METRICS.index(name)] += torch.where(weights > 0, value, 0.0)
