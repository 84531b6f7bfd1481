"""Asks a growing cluster for N GPU nodes and waits for them; 0 gives them back to the idle timeout.

ray job submit --working-dir infra/ray -- python nodes.py 2
"""

import sys
import time

import ray
from ray.autoscaler.sdk import request_resources

N, MINUTES = int(sys.argv[1]), 20

ray.init(address="auto")
request_resources(bundles=[{"GPU": 1}] * N)  # holds until the next call, also after this job
for _ in range(MINUTES * 6):
    there = int(ray.cluster_resources().get("GPU", 0))
    if there >= N:
        print(f"{there} GPUs are there")
        break
    print(f"{there} of {N} GPUs", flush=True)
    time.sleep(10)
else:
    sys.exit(f"not {N} GPUs after {MINUTES} minutes: `ray status` on the head says why")
