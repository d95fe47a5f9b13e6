"""A policy as C, checked by the system's compiler, or where there is none by reading its tables back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from rlx2_ray.experiment.playback import Playable, play, playable
from rlx2_ray.export.arduino import folder_of, write_library
from rlx2_ray.export.c_companions import VECTORS, names_of, write_companions
from rlx2_ray.export.c_compiler import compiled, find_compiler
from rlx2_ray.export.c_fixed import SHARED_BYTES, tables_of
from rlx2_ray.export.c_reader import CSource, read_source
from rlx2_ray.export.c_source import write_text
from rlx2_ray.export.check import Check, check, random_observations, resolution
from rlx2_ray.export.fixed_point import MARGIN, FixedNetwork, to_fixed_point
from rlx2_ray.export.identity import InUnits, describe, in_units
from rlx2_ray.export.placing import placing
from rlx2_ray.export.rounding_loss import Episodes, Loss, Rounding, measure_loss
from rlx2_ray.export.visited import Recorded
from rlx2_ray.footprint import chip_costs
from rlx2_ray.footprint.compact import compact
from rlx2_ray.footprint.quantize import INTEGER_TYPES, rounded
from rlx2_ray.footprint.tables import encode
from rlx2_ray.networks.policy import DenseLayer, DenseNetwork, Network, densify
from rlx2_ray.networks.policy_file import PolicyFile
from rlx2_ray.networks.policy_reader import Normalization
from rlx2_ray.types import BadInput

CALIBRATION = Episodes(5, 10_000)  # that the ranges of values are taken from, of seeds of their own
TABLES = "numpy on its tables (there is no C compiler here)"


def write(policy: PolicyFile, out: Path, rounding: Rounding | None, with_arduino: bool = False) -> dict[str, Any]:
    """Writes `out` and the header beside it, and returns how closely they act as the policy."""
    network = compact(policy.layers, policy.spaces.action_size)
    trained, loss, fixed = densify(policy.layers), None, None
    held: Network = trained
    if rounding:
        network = _integers(policy, network, out, rounding)
        held = in_fixed_point(policy, network, out) if rounding.is_fixed else DenseNetwork(network)
        loss = measure_loss(policy, held, out, rounding.episodes)
    if isinstance(held, FixedNetwork):
        tables, fixed = tables_of(held)
    else:
        tables = [encode(layer, rounding.kind if rounding else None) for layer in network]
    notes = _notes(policy, rounding, loss)
    text = write_text(
        out, tables, policy.spaces, describe(policy), notes, normalization=policy.normalization, fixed=fixed
    )
    header, beside, library = out.with_suffix(".h"), names_of(out), [folder_of(out)] * with_arduino
    with placing([header, *beside, *library, out]) as aside:
        (aside / header.name).write_text(text.header, encoding="utf-8")
        (aside / out.name).write_text(text.source, encoding="utf-8")
        source = read_source(aside / out.name)
        checked = _check(source, held, trained, policy.normalization)
        vectors = random_observations(policy.spaces.observation_size, VECTORS, policy.normalization)
        texts = write_companions(out, policy.spaces, vectors, source.act(vectors), checked)
        for file, content in zip(beside, texts, strict=True):
            (aside / file.name).write_text(content, encoding="utf-8")
        for folder in library:
            write_library(aside / folder.name, out, text, policy.env["id"])
    table_bytes = sum(each.bytes for each in tables) + (SHARED_BYTES if fixed else 0)
    return {
        "header": str(header),
        "beside": [str(file) for file in (*beside, *library)],
        "table_bytes": table_bytes,
        **chip_costs.as_fields(tables, table_bytes, policy.normalization is not None),
        "fixed_point": fixed is not None,
        "check": checked._asdict(),
        **{name: loss._asdict() if rounding and loss and rounding.name == name else None for name in INTEGER_TYPES},
    }


@contextmanager
def load(path: Path, warn: Callable[[str], None], allow_native: bool = False) -> Iterator[Playable]:
    """Returns the policy of a file that `write` wrote, compiled, or where there is no compiler as its tables say.

    Raises BadInput for any other file, or one that was changed; unless `allow_native`, also for one that is not what
    `write` would write today: that might do anything.
    """
    source, compiler = read_source(path), find_compiler()
    if compiler is None:
        warn(f"There is no C compiler here, so the tables in {path} are played without its code.")
        yield in_units(source.identity, source.act)
        return
    if not (source.is_ours or allow_native):
        raise BadInput(
            f"{path} is native code, and not byte for byte what this version of rlx2 export writes (another may have): "
            "give --allow-native if you trust it, or export it again."
        )
    which = "as rlx2 export writes it" if source.is_ours else "that may do anything, as --allow-native allows"
    warn(f"{path} is native code {which}: it is compiled, and run in a process of its own.")
    with compiled(compiler, source) as act:
        yield in_units(source.identity, act)


def _integers(policy: PolicyFile, network: list[DenseLayer], out: Path, rounding: Rounding) -> list[DenseLayer]:
    if not rounding.is_tuned:
        return rounded(network, rounding.kind)
    from rlx2_ray.export.tuning import tuned  # with torch, which takes seconds to import

    return tuned(policy, network, rounding.kind, out)


def in_fixed_point(policy: PolicyFile, network: Sequence[DenseLayer], source: Path) -> FixedNetwork:
    """Returns the network in integers alone, `network` being the policy's, with weights of int8 or about to have them.

    Ranges are those of the observations that the trained policy's episodes lead to. Raises BadInput where its numbers
    do not fit, or the environment is not installed.
    """
    trained = playable(policy)
    recorded = Recorded(trained.policy)
    play(trained._replace(policy=recorded), source, *CALIBRATION)
    visited = np.stack(recorded.observations)
    if policy.normalization is not None:
        visited = policy.normalization.apply(visited)
    try:
        return to_fixed_point(network, visited)
    except ValueError as problem:
        raise BadInput(f"--fixed-point is given, but of this policy {problem}: leave it out.") from None


def _check(source: CSource, held: Network, trained: DenseNetwork, inputs: Normalization | None) -> Check:
    """For an export of integers `held` is the rounded network, which the C has to equal as closely."""
    compiler, spaces = find_compiler(), source.identity.spaces
    observations = random_observations(spaces.observation_size, normalization=inputs)
    with compiled(compiler, source) if compiler else nullcontext(source.act) as act:
        by = compiler[0] if compiler else TABLES
        return check(InUnits(act, spaces), held, by, observations, resolution(spaces), trained, inputs)


def _notes(policy: PolicyFile, rounding: Rounding | None, loss: Loss | None) -> list[str]:
    about, spaces = policy.about, policy.spaces
    notes = [
        f"{spaces.observation_size} observations in, {spaces.action_size} actions out, in the environment's units."
    ]
    if (times := policy.env.get("action_repeat", 1)) > 1:
        notes.append(f"Each action is meant for {times} steps of the environment (env.action_repeat).")
    if all(about.get(key) is not None for key in ("score", "algo", "method", "env_steps")):
        notes.append(f"Trained by {about['algo']}, method {about['method']}, {about['env_steps']} env steps.")
        notes.append(f"Score: {about['score']:.1f}, the mean return of its last evaluations.")
    if about.get("return_mean") is not None:
        notes.append(f"The policy of the best of its evaluations, whose mean return was {about['return_mean']:.1f}.")
    if rounding and loss:
        bits = rounding.name.removeprefix("int")
        how = "tuned to act as the trained policy" if rounding.is_tuned else "the nearest"
        notes.append(
            f"Weights are {bits}-bit integers with a scale a row or block of rows, {how}. "
            f"Mean return over {loss.episodes} episodes: "
            f"{loss.return_before:.1f} before, {loss.return_after:.1f} after. "
            f"Actions differ there from the trained policy's by at most {loss.max_difference:.2g} of their bounds."
        )
    if rounding and rounding.is_fixed:
        notes.append(
            "All arithmetic is in integers: values of 16 bits, sums of 32, a product of 64 a unit. Values reach up to "
            f"{MARGIN:g} times those of {CALIBRATION.number} episodes of the trained policy, and saturate there."
        )
    return notes
