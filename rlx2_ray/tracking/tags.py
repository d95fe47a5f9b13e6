"""The tags that runs in MLflow are found and told apart by: names that users search for, so they stay what they are."""

from __future__ import annotations

PARENT = "mlflow.parentRunId"  # MLflow's own: the run of the sweep that a run is a trial of
TRIAL_KEY = "rlx2.trial_key"  # of every run: what it is found again by, so that going on makes no second one
KIND = "rlx2.kind"  # of a parent: "sweep" or "compress"
CONFIG_HASH = "rlx2.config_hash"  # of every run that trains
ENDED_EARLY = "rlx2.ended_early"  # of a run that was not worth going on with
TRIAL = "rlx2.trial"  # of a trial, as the others below: its name
PURPOSE = "rlx2.purpose"  # "trial", or of a compression "dense", "search" or "confirm"
SEED = "rlx2.seed"
MEMBER = "rlx2.member"  # of a queue: the file that the trial is of
ARCHIVED = "rlx2.archived"  # the file of an archive that the trial was taken from
POLICY_DIGEST = "rlx2.policy_digest"  # of a registered model and its versions
VERSION = "version."  # beginning of the tags that name the versions of packages
