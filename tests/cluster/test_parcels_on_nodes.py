"""A folder goes to a node once, however many of its workers open it."""

import json

import numpy as np
import pytest

pytestmark = pytest.mark.ray

SIZE = 30_000_000
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from ganops.distributed import node_copy

node_copy.PIECE_BYTES = 8_000_000

def received():
    (line,) = (line for line in open("/proc/net/dev") if line.strip().startswith("eth0:"))
    return int(line.split(":")[1].split()[0])

@ray.remote(num_cpus=0)
class Worker:
    def open(self, sent):
        before = received()
        folder = sent.open()
        content = np.load(folder / "part/images.npy", mmap_mode="r")
        return [str(folder), received() - before, int(content[:: 2**16].astype(int).sum())]

ray.init(log_to_driver=False)
sent = node_copy.send(Path(sys.argv[1]))
workers = []
alive = [node for node in ray.nodes() if node["Alive"]]  # others may have been lost in the tests before
for node in sorted(alive, key=lambda node: node["NodeManagerHostname"]):
    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    workers += [Worker.options(scheduling_strategy=place).remote() for _ in range(2)]
print(json.dumps([ray.get(worker.open.remote(sent)) for worker in workers]))
"""


def test_a_second_worker_of_a_node_receives_nothing(cluster):
    shipped, folder = cluster.shared / "shipped", "/tmp/data"
    (shipped / "part").mkdir(parents=True)
    content = np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8)
    np.save(shipped / "part/images.npy", content)
    cluster.head.run("mv", shipped, folder)
    address = f"RAY_ADDRESS={cluster.head.address}:6379"
    answers = json.loads(cluster.head.run("env", address, "python", "-c", SCRIPT, folder))
    head, head2, first, second = answers
    assert {total for _, _, total in answers} == {int(content[:: 2**16].astype(int).sum())}
    assert head[0] == head2[0] == folder, "where it was packed it is the folder itself"
    assert first[0] == second[0] != folder
    assert max(head[1], head2[1], second[1]) < SIZE / 50
    assert SIZE < first[1] < 1.1 * SIZE
