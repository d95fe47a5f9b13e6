"""`python -m rlx2_ray` is the console script `rlx2`."""

from rlx2_ray.cli.main import main

main()
