"""What a population takes on its device, worked out before it is made."""

from __future__ import annotations

import math
import os

import torch

from rlx2_ray.agents.population.replay import row_bytes
from rlx2_ray.agents.population.shapes import Shapes
from rlx2_ray.agents.population.stack import Row
from rlx2_ray.config import ExperimentConfig
from rlx2_ray.sparse.plan import CRITICS
from rlx2_ray.types import BadInput

BOUNDARIES = 1 / 16  # rows of a ring beside its transitions: for episodes of 16 steps and more
SPARE = 2  # rows that an insertion writes
FLOAT_BYTES = 4
USED = 0.9  # of the free memory, so that what is not counted has room


def planned_rows(config: ExperimentConfig) -> int:
    """Rows of a slot's replay to begin with."""
    transitions = min(config.replay.max_capacity, config.steps)
    return math.ceil(transitions * (1 + BOUNDARIES)) + SPARE


def replay_bytes(shapes: Shapes, rows: int) -> int:
    """Of one member."""
    return rows * row_bytes(shapes.observation_size, shapes.action_size)


def network_bytes(shapes: Shapes) -> int:
    """Of one member: weights, gradient, two moments and a mask of what is trained, weights of what follows."""
    policy, critic = Row(shapes.policy).size, CRITICS * Row(shapes.critic).size
    followed = critic + policy * ((shapes.algo == "td3") + shapes.room.average)
    trained = 4 + shapes.room.own_steps + shapes.room.rescaled
    return (policy + critic) * (trained * FLOAT_BYTES + 1) + followed * FLOAT_BYTES


def update_bytes(shapes: Shapes) -> int:
    """Of one member while it is updated, roughly.

    What layers give, and their deltas, for each sample of the batch; what targets are made of; and what Adam has in
    between for each weight of the critics, of which own steps and rescaling need more.
    """
    room = shapes.room
    policy, critic = (sum(map(sum, layers)) for layers in (shapes.policy, shapes.critic * CRITICS))
    targets = policy * room.n_step + critic if shapes.every_step else policy + critic * room.samples
    units = (3 + room.critic_norm) * (policy + critic) + targets
    of_weights = (2 + 6 * room.own_steps + 2 * room.rescaled) * CRITICS * Row(shapes.critic).size
    return FLOAT_BYTES * (shapes.batch_size * units + of_weights)


def member_bytes(shapes: Shapes, rows: int) -> int:
    return replay_bytes(shapes, rows) + network_bytes(shapes) + update_bytes(shapes)


def free_bytes(device: str) -> int:
    """What is free on a device now."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def slots_that_fit(shapes: Shapes, rows: int, free: int) -> int:
    return int(USED * free) // member_bytes(shapes, rows)


def choose_slots(
    shapes: Shapes, rows: int, members: int, asked: int | None, device: str, option: str = "--slots"
) -> int:
    """Slots for so many members: as many as `option` asks for, or as fit. Raises BadInput for too many, or none."""
    free = free_bytes(device)
    fit = slots_that_fit(shapes, rows, free)
    wanted = min(members, asked or members)
    if fit >= (asked or 1):
        return min(wanted, fit)
    key = f"{option} is {asked}" if asked else f"device is {device!r}"
    replay_mib, each_mib = (size / 2**20 for size in (replay_bytes(shapes, rows), member_bytes(shapes, rows)))
    size = f"a member takes {each_mib:.0f} MiB, {replay_mib:.0f} of them for its replay"
    remedy = f"give {option} {fit}" if fit else "lower replay.max_capacity"
    raise BadInput(f"{key}, but {size}, and {free / 2**20:.0f} MiB are free on {device}, enough for {fit}: {remedy}.")
