"""Names of the tags of versions and trials, apart from `registration`: whoever only reads them waits for no torch."""

from ganops.registry import tracking
from ganops.registry.tracking import HASHES

IDENTITY = "ganops.identity"
WEIGHTS = "ganops.weights"
"""Tag with the SHA-256 of the weights, by which versions of one generator know each other."""
DECISION, REASONS = "ganops.decision", "ganops.reasons"
FROM_SEARCH, FROM_TRIAL, FROM_RUN = "ganops.from_search", "ganops.from_trial", "ganops.from_run"
"""Tags of the parameters' origin: name of the search, number of its trial, and the trial's run of MLflow."""
SEARCH, TRIAL = "ganops.search", "ganops.trial"
"""Tags of a trial's run: name of the search, and number."""
CHANGES = "ganops.changes"
"""Tag with the place of the patch from the commit to the tree that made the version, below its run."""
FROM_GENERATOR = "ganops.from_generator"
"""Tag with the generator with whose weights the training began: its name and the fingerprint of its training."""
TRACED = (HASHES, FROM_GENERATOR, FROM_SEARCH, FROM_TRIAL, FROM_RUN, CHANGES, *tracking.CODE)
"""Prefixes of the tags that tell a version's origin."""
