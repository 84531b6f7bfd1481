"""Storage is a folder or an address, and every node sees it before anything is trained."""

import errno

import pytest
from pyarrow import fs

from ganops.config import Compute
from ganops.core import storage as stores
from ganops.core.errors import TrainingError
from ganops.core.storage import away
from ganops.distributed import runtime, storage
from ganops.distributed.storage import Storage


@pytest.fixture
def alone(monkeypatch):
    """A cluster of one node."""
    monkeypatch.setattr(runtime.ray, "nodes", lambda: [{"Alive": True, "NodeID": "1"}])


@pytest.fixture(params=["folder", "address"])
def place(request, tmp_path):
    return Storage(str(tmp_path) if request.param == "folder" else f"file://{tmp_path}")


def test_relative_paths_are_the_projects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Storage.of(Compute()).address == str(tmp_path / ".ganops")
    assert Storage.of(Compute(storage="../there")).folder("run") == tmp_path.parent / "there/run"
    assert Storage.of(Compute(storage="s3://bucket/runs")).address == "s3://bucket/runs"
    assert Storage.of(Compute(storage="file:///mnt/all%20runs")).address == "/mnt/all runs", "with its locks"


def test_a_run_is_removed_and_no_other(place, tmp_path):
    for name in ("run", "other"):
        (tmp_path / name / "checkpoint").mkdir(parents=True)
        (tmp_path / name / "checkpoint/state").touch()
    place.remove("run")
    place.remove("run")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert (tmp_path / "other/checkpoint/state").exists()


def test_one_node_with_a_folder_is_asked_nothing(alone, monkeypatch, tmp_path):
    monkeypatch.setattr(Storage, "_leave", None)
    Storage(str(tmp_path)).check()


@pytest.mark.ray
def test_a_node_reads_and_writes_where_an_address_leads(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with runtime.cluster():
        Storage(f"file://{tmp_path}/new").check()
    assert not list((tmp_path / "new").iterdir()), "the probe leaves nothing"


@pytest.mark.parametrize("address", ["file:///proc/nowhere", "s3://bucket/runs?no_such_option=1"])
def test_an_address_that_cannot_be_written_is_told(address, alone):
    with pytest.raises(TrainingError, match=r"compute.storage: .* cannot be written: "):
        Storage(address).check()


def test_what_a_node_says(tmp_path, monkeypatch):
    address = str(tmp_path)
    assert storage._probe(address, "probe", "node") == f"does not see {address}"
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe/driver").touch()
    assert storage._probe(address, "probe", "node") == ""
    assert (tmp_path / "probe/node").exists()
    (tmp_path / "probe/folder").mkdir()
    assert f"cannot write {address}" in storage._probe(address, "probe", "folder")


def test_object_stores_are_removed_too(monkeypatch):
    """They have no folders, only names with slashes."""
    objects = fs._MockFileSystem()
    monkeypatch.setattr(stores, "connected", lambda uri: (objects, "bucket/runs"))
    for name in ("run", "other"):
        objects.create_dir(f"bucket/runs/{name}")
        objects.open_output_stream(f"bucket/runs/{name}/state").close()
    Storage("s3://bucket/runs").remove("run")
    Storage("s3://bucket/runs").remove("run")
    assert [info.base_name for info in objects.get_file_info(fs.FileSelector("bucket/runs"))] == ["other"]


PASSING = [
    OSError("When initiating multiple part upload for key 'x': AWS Error NETWORK_CONNECTION: curlCode: 28, Timeout"),
    OSError(
        "When reading information for key 'permission-study/x' in bucket 'b': AWS Error NETWORK_CONNECTION: refused"
    ),
    OSError("google::cloud::Status(UNAVAILABLE: Connection refused)"),
    OSError(errno.ESTALE, "Stale file handle"),
]
LASTING = [
    OSError("AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation: The specified bucket does not exist"),
    OSError("Bucket 'nobody-has-it' not found. To create buckets, enable the allow_bucket_creation option."),
    OSError("AWS Error ACCESS_DENIED during PutObject operation: Access Denied"),
    OSError(errno.ENOSPC, "No space left on device"),
    FileNotFoundError(errno.ENOENT, "No such file or directory"),
    PermissionError(errno.EACCES, "Permission denied"),
    ValueError("a defect"),
    None,
]


@pytest.mark.parametrize("error", [*PASSING, *LASTING], ids=str)
def test_only_what_may_pass_is_waited_for(error):
    assert away(error) == (error in PASSING)
