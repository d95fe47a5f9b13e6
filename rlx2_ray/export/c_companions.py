"""What stands beside an exported C source, to be used or thrown away: nothing of it is read again by this program.

A check with test vectors, which tells on the device whether the policy does there what it did here; a header for C++;
an example that acts at a fixed rate and looks at its deadlines.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rlx2_ray.envs.actions import half_ranges
from rlx2_ray.export.c_source import c_name
from rlx2_ray.export.c_text import table
from rlx2_ray.export.check import TOLERANCE, Check, resolution
from rlx2_ray.types import Floats, Spaces

VECTORS = 10
SLACK = 2  # times the greatest difference that was seen here, for another processor's rounding
RATE_HZ = 500


def names_of(path: Path) -> tuple[Path, Path, Path]:
    """Returns the places of check, C++ header and example."""
    return path.with_name(f"{path.stem}_check.c"), path.with_suffix(".hpp"), path.with_name(f"{path.stem}_loop.c")


def write_companions(path: Path, spaces: Spaces, observations: Floats, actions: Floats, checked: Check) -> list[str]:
    """Returns the texts of `names_of`; `actions` are those of the first observations, in the environment's units."""
    name, stem = c_name(path), path.stem
    return [
        _check(name, stem, observations[:VECTORS], actions[:VECTORS], _tolerances(spaces, checked)),
        CPP.format(name=name, stem=stem, macro=name.upper()),
        LOOP.format(name=name, stem=stem, macro=name.upper(), rate=RATE_HZ),
    ]


def _tolerances(spaces: Spaces, checked: Check) -> Floats:
    """In the environment's units; a whole number may be the next one, where the policy is half way between two."""
    allowed = max(TOLERANCE, SLACK * checked.max_difference) + resolution(spaces)
    scaled = np.maximum(allowed * half_ranges(spaces), 0)
    return np.where(spaces.action_is_integer, np.maximum(scaled, 1), scaled).astype(np.float32)


def _check(name: str, stem: str, observations: Floats, actions: Floats, tolerances: Floats) -> str:
    tables = [
        table("observations", observations.ravel()),
        table("actions", actions.astype(np.float32).ravel()),
        table("tolerances", tolerances),
    ]
    return CHECK.format(
        name=name, stem=stem, macro=name.upper(), count=len(observations), tables="\n".join(tables)
    )  # fmt: skip


CHECK = """\
/* Does {name}_act() do on this machine what it did where it was exported?

   Link it with {stem}.c, and call {name}_check(); or, where there is a terminal:
     cc -std=c99 -D{macro}_CHECK_MAIN {stem}_check.c {stem}.c -o {stem}_check && ./{stem}_check */
#include "{stem}.h"

#include <stddef.h>

#define COUNT {count}

/* One after the other, and the actions that they have to come to, each but for its tolerance. */
{tables}
int {name}_check(void);

/* Returns how many of the observations come to another action: 0 is right. */
int {name}_check(void)
{{
    float action[{macro}_ACTION_SIZE];
    int wrong = 0;
    size_t number, index;
    for (number = 0; number < COUNT; number++) {{
        int is_right = 1;
        {name}_act(observations + number * {macro}_OBSERVATION_SIZE, action);
        for (index = 0; index < {macro}_ACTION_SIZE; index++) {{
            float difference = action[index] - actions[number * {macro}_ACTION_SIZE + index];
            is_right &= difference <= tolerances[index] && difference >= -tolerances[index];
        }}
        wrong += !is_right;
    }}
    return wrong;
}}

#ifdef {macro}_CHECK_MAIN
#include <stdio.h>

int main(void)
{{
    int wrong = {name}_check();
    printf("%d of %d observations come to another action\\n", wrong, COUNT);
    return wrong != 0;
}}
#endif
"""

CPP = """\
// The policy of {stem}.c for C++11 and later; compile {stem}.c as C, or as C++, and link it.
#ifndef {macro}_HPP
#define {macro}_HPP

#include <array>

#include "{stem}.h"

namespace {name} {{

using Observation = std::array<float, {macro}_OBSERVATION_SIZE>;
using Action = std::array<float, {macro}_ACTION_SIZE>;

// As {name}_act(): in the environment's units, and NaN where the observation has a number that is none.
inline Action act(const Observation& observation) {{
    Action action;
    {name}_act(observation.data(), action.data());
    return action;
}}

}}  // namespace {name}

#endif
"""

LOOP = """\
/* An example: {name}_act() at {rate} Hz, with a look at every deadline. POSIX; fill in read_sensors() and drive().
     cc -std=c99 -O2 {stem}_loop.c {stem}.c -o {stem}_loop && ./{stem}_loop SECONDS */
#define _POSIX_C_SOURCE 200809L
#include "{stem}.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PERIOD_NS (1000000000LL / {rate})

static void read_sensors(float observation[{macro}_OBSERVATION_SIZE])
{{
    size_t index;
    for (index = 0; index < {macro}_OBSERVATION_SIZE; index++) observation[index] = 0.0f; /* yours */
}}

static void drive(const float action[{macro}_ACTION_SIZE])
{{
    (void)action; /* yours */
}}

static long long now_ns(void)
{{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}}

static void wait_until(long long ns)
{{
    struct timespec moment;
    moment.tv_sec = (time_t)(ns / 1000000000LL);
    moment.tv_nsec = (long)(ns % 1000000000LL);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL) == EINTR) {{}}
}}

int main(int count, char **words)
{{
    float observation[{macro}_OBSERVATION_SIZE], action[{macro}_ACTION_SIZE];
    long steps = (long)((count > 1 ? atof(words[1]) : 1.0) * {rate}), step, missed = 0;
    long long begin = now_ns(), slowest = 0;
    for (step = 1; step <= steps; step++) {{
        long long due = begin + step * PERIOD_NS, started, ended;
        size_t index;
        wait_until(due);
        started = now_ns();
        read_sensors(observation);
        {name}_act(observation, action);
        for (index = 0; index < {macro}_ACTION_SIZE; index++) {{
            if (action[index] != action[index]) {{
                fprintf(stderr, "step %ld: a sensor gave no number; stop the machine here\\n", step);
                return 2;
            }}
        }}
        drive(action);
        ended = now_ns();
        if (ended - started > slowest) slowest = ended - started;
        missed += ended > due + PERIOD_NS; /* the next step was due by then */
    }}
    printf("%ld steps at {rate} Hz, %ld deadlines missed, slowest step %.1f us\\n", steps, missed, slowest / 1e3);
    return missed > 0;
}}
"""
