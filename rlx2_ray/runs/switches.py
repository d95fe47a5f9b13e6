"""The switches that a run has on, which its method does not say: what is changed of training beside its structure."""

from __future__ import annotations

from rlx2_ray.config import ExperimentConfig, at
from rlx2_ray.config.schema import LATER
from rlx2_ray.methods import keys_of

SWITCHES = {  # key -> what it does where it is on; docs/methods.md has their sources and costs
    "agent.normalize_observations": "observations are normalised by the running mean and deviation of all so far",
    "policy.average": "a moving average of the policy over so many env steps is evaluated, kept and exported",
    "target.samples": "TD targets are a softmax mean over the values of so many actions around the target policy's",
    "target.mean": "TD targets take so much of the mean of both critics in place of their minimum",
    "agent.grown_steps": "Adam corrects the moments of a grown weight by the weight's own steps",
    "agent.beta_1": "what Adam keeps of the mean of the gradient at a step",
    "agent.beta_2": "what Adam keeps of the mean of the gradient's square at a step",
    "network.critic_norm": "the hidden layers of the critics are normalised over their units",
    "network.rescaled": "weights are rescaled over the active ones of their layer",
    "topology.growth_batches": "weights grow by the gradients of so many batches",
    "sparsity.block": "weights on a diagonal of a block of so many outputs and inputs share one value",
    "topology.hold": "zeros become more only while the return of training is so much of its best",
}


def switched_on(config: ExperimentConfig) -> dict[str, str]:
    """Returns key -> its value in words, empty where it can only be on; in the order of `SWITCHES`."""
    tree = config.model_dump()
    found = {}
    for key in SWITCHES:
        section, name = key.split(".")
        value = at(tree, key, None)
        if value not in (LATER[section][name], at(keys_of(config.method), key, None)):
            found[key] = "" if value is True else f"{value:,}" if isinstance(value, int) else str(value)
    return found


def sentences(config: ExperimentConfig) -> list[str]:
    """Says what each of them does."""
    return [f"{_name(*each)}: {SWITCHES[each[0]]}" for each in switched_on(config).items()]


def names(config: ExperimentConfig) -> str:
    """Returns such as "policy.average 10,000, target.mean 0.5"; nothing where none is on."""
    return ", ".join(_name(*each) for each in switched_on(config).items())


def _name(key: str, value: str) -> str:
    return f"{key} {value}".strip()
