"""Images decoded by Ray's workers, or by this machine's processes: the prepared set is the same, byte for byte.

Tasks and not Ray Data: all that is asked for is a result for each block in the order of the blocks. The block in which
a worker died is decoded again, and how much is under way is a number here. So the result, and which of two failures is
told, depend on no scheduling.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ganops.config import Compute
from ganops.core.cores import in_order
from ganops.core.errors import DataError
from ganops.data.decode import Decoded, read_file
from ganops.data.intake import ENDED, Block, Decode, Mapper, here
from ganops.data.sources.item import Content, Deferred, ItemError, Single

WORTH = 20_000
"""Images; fewer are decoded here before the workers have started: one core decodes some 2,300 small files a second."""
AHEAD = 2
"""Blocks under way for each core: one is decoded, the next one waits."""
MAX_RESTARTS = 3
"""Most times that a block is begun again after its worker died."""


def mapper(compute: Compute) -> Mapper:
    """Return the mapper that decodes the samples: all cores, whatever `compute.workers` is, for no GPU is needed.

    On one machine its own processes do it: they start in less time than Ray does.
    """
    return on_workers if compute.launcher == "ray" and "RAY_ADDRESS" in os.environ else here


def on_workers(decode: Decode, blocks: Iterator[Block], count: int) -> Iterator[list[Decoded]]:
    """Map by all cores of the cluster if there are items enough.

    What lies on object storage is opened by the workers themselves, and so are this machine's files where there is no
    other machine; all else is read here and sent to them. Home come the samples.
    """
    if count < WORTH:
        yield from here(decode, blocks, count)
        return
    from ganops.distributed import runtime  # Ray takes a second to import, which small sets need not wait

    with runtime.cluster():
        yield from _in_order(decode, blocks if len(runtime.nodes()) == 1 else map(_sent, blocks))


def _in_order(decode: Decode, blocks: Iterator[Block]) -> Iterator[list[Decoded]]:
    """The results of all blocks; a block is taken from the source when an earlier one has come home."""
    import ray
    from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError

    limit = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    task = ray.remote(_decode).options(num_cpus=1, max_retries=MAX_RESTARTS)
    shared = ray.put(decode)
    try:
        yield from in_order(lambda block: task.remote(shared, block), ray.get, blocks, limit)
    except RayTaskError as error:
        raise error.cause from error
    except (OutOfMemoryError, WorkerCrashedError) as error:
        raise DataError(ENDED) from error


def _decode(decode: Decode, block: Block) -> list[Decoded]:
    return decode(block)


def _sent(block: Block) -> Block:
    """The same items for another machine, which has not these files."""
    return [_read(content) for content in block]


def _read(content: Content) -> Content:
    return tuple(map(_part, content)) if isinstance(content, tuple) else _part(content)


def _part(content: Single) -> Single:
    if isinstance(content, Deferred) and content.local:
        return _or_reason(content.read)
    return _or_reason(lambda: read_file(content)) if isinstance(content, Path) else content


def _or_reason(read: Callable[[], bytes]) -> Single:
    try:
        return read()
    except ItemError as reason:
        return reason
