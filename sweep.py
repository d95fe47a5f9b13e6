"""`rlx2 sweep` for `ray submit CLUSTER.yaml sweep.py -- CONFIG.yaml`: on the cluster on whose head node it runs.

It needs nothing beside itself but the installed package. Options are those of `rlx2 sweep`; a CONFIG.yaml that is not
on the head node yet gets there with `ray rsync-up CLUSTER.yaml CONFIG.yaml CONFIG.yaml`. docs/cluster.md has more.
"""

import sys
from pathlib import Path

from rlx2_ray.cli.main import hide_secret_of_command_line, run

if __name__ == "__main__":
    hide_secret_of_command_line()
    arguments = sys.argv[1:]
    for argument in arguments:
        if argument.endswith((".yaml", ".yml")) and not Path(argument).exists():
            copying = f"'ray rsync-up CLUSTER.yaml {argument} {argument}' copies it"
            print(f"rlx2: {argument} is not on this machine, from {Path.cwd()}: {copying}.", file=sys.stderr)  # noqa: T201
            sys.exit(2)
    address = [] if any(argument.startswith("--address") for argument in arguments) else ["--address", "auto"]
    sys.exit(run(["sweep", *arguments, *address]))
