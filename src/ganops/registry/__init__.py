"""MLflow: packages, versions, champions. The only room that imports mlflow.

MLflow does not report home unless its user says so: the switches must be set before its first import, hence here.
"""

import os

for _name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ.setdefault(_name, "true")
