"""Ray: workers, trials, storage. The only room that imports ray.train and ray.tune.

Ray does not report home unless its user says so: its switches must be set before the first import, hence here.
"""

import os

for _name, _value in {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",  # reports are drained by this poll; its default of 2 s stalls the loop
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_worker_niceness": "0",  # the training is what the machine is for
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "DO_NOT_TRACK": "true",
}.items():
    os.environ.setdefault(_name, _value)
