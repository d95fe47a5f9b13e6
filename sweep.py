"""`rlx2 sweep` for `ray submit cluster.yaml sweep.py -- CONFIG.yaml`: on the cluster whose head node it runs on.

It needs nothing beside itself but the installed package. Options are those of `rlx2 sweep`.
"""

import sys

from rlx2_ray.cli.main import run

if __name__ == "__main__":
    arguments = sys.argv[1:]
    address = [] if any(argument.startswith("--address") for argument in arguments) else ["--address", "auto"]
    sys.exit(run(["sweep", *arguments, *address]))
