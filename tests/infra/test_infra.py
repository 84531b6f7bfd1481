"""What infra/ promises: every definition follows its schema, versions are the locked ones, no secret, no open door."""

import configparser
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
SCHEMAS = Path(__file__).parent / "schemas"
YAMLS = sorted(INFRA.rglob("*.yaml"))
RAY = sorted((INFRA / "ray").glob("*.yaml"))
KUBERAY = [INFRA / "kuberay" / "raycluster.yaml", INFRA / "kuberay" / "rayjob.yaml"]
COMPOSE = INFRA / "mlflow" / "compose.yaml"
DOCKERFILES = sorted(INFRA.rglob("Dockerfile"))
LOCKS = sorted(INFRA.rglob("*.lock"))
SECRET = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|TOKEN(?!_PATH)|USERNAME")


def name(path: Path) -> str:
    return path.relative_to(INFRA).as_posix()


def each(paths):
    return pytest.mark.parametrize("path", paths, ids=name)


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def schema(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def locked(path: Path = ROOT / "requirements.lock") -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", path.read_text(encoding="utf-8"), re.MULTILINE))


def cluster(path: Path) -> dict:
    """The cluster of a RayCluster or a RayJob."""
    spec = load(path)["spec"]
    return spec.get("rayClusterSpec", spec)


def pods(path: Path) -> list[dict]:
    groups = [cluster(path)["headGroupSpec"], *cluster(path)["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def containers(path: Path) -> list[dict]:
    return [container for pod in pods(path) for container in pod["containers"]]


def images() -> list[tuple[str, str]]:
    """Every image that infra/ names, with the file that names it."""
    found = [(name(path), container["image"]) for path in KUBERAY for container in containers(path)]
    found += [(name(path), load(path)["docker"]["image"]) for path in RAY]
    found += [(name(COMPOSE), service["image"]) for service in load(COMPOSE)["services"].values()]
    for path in DOCKERFILES:
        found += [(name(path), base) for base in re.findall(r"^ARG BASE=(.+)$", path.read_text(), re.MULTILINE)]
    return found


def tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def options(path: Path, word: str) -> dict[str, str]:
    """What `docker run` gets as `--word name=value`."""
    docker = load(path)["docker"]
    lines = docker["run_options"] + docker.get("head_run_options", [])
    return dict(line.removeprefix(f"--{word} ").split("=", 1) for line in lines if line.startswith(f"--{word} "))


# --- schemas ---


@each(YAMLS)
def test_every_yaml_is_read(path):
    assert isinstance(load(path), dict)


def test_every_definition_is_checked_by_something():
    """A file that is added without a check would be trusted without one."""
    assert set(YAMLS) == {*RAY, *KUBERAY, COMPOSE, INFRA / "kuberay" / "storage.yaml"}


@each(RAY)
def test_clusters_follow_rays_own_schema(path):
    (ray,) = importlib.util.find_spec("ray").submodule_search_locations
    jsonschema.validate(load(path), schema(Path(ray) / "autoscaler" / "ray-schema.json"))


@each(KUBERAY)
def test_manifests_follow_kuberays_schema(path):
    jsonschema.validate(load(path), schema(SCHEMAS / "kuberay.json"))


def test_compose_follows_the_specification():
    jsonschema.validate(load(COMPOSE), schema(SCHEMAS / "compose-spec.json"))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("submissionMode",), "SideCarMode"),
        (("backoffLimits",), 1),
        (("rayClusterSpec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("rayClusterSpec", "workerGroupSpecs", 0, "minReplica"), 0),
        (("rayClusterSpec", "authOptions", "mode"), "tokens"),
    ],
    ids=str,
)
def test_the_reduced_schema_refuses_mistakes(where, value):
    manifest = load(INFRA / "kuberay" / "rayjob.yaml")
    spot = manifest["spec"]
    for key in where[:-1]:
        spot = spot[key]
    spot[where[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, schema(SCHEMAS / "kuberay.json"))


# --- versions ---


def test_images_have_exact_tags():
    for where, image in images():
        assert re.search(r"\d+\.\d+", tag(image)), f"{where}: {image} has no exact version"
        assert "latest" not in tag(image), f"{where}: {image} moves"


def test_images_of_others_are_pinned_by_digest():
    """A tag may be pushed again; what a digest names is that very content. `make pin` writes them."""
    foreign = {image for _, image in images() if not image.startswith(("registry.example.com/", "ganops-mlflow:"))}
    assert len(foreign) == 3
    for image in foreign:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image), "run `make pin`"


def test_pinning_writes_the_digest_of_every_foreign_image(tmp_path):
    """By a docker that knows one registry; a tag that it does not know changes nothing."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        "#!/usr/bin/env python3\n"
        "import hashlib, json, sys\n"
        "assert sys.argv[1:4] == ['buildx', 'imagetools', 'inspect']\n"
        "sys.exit('no such tag') if sys.argv[4].startswith('postgres:99') else None\n"
        "print(json.dumps({'digest': 'sha256:' + hashlib.sha256(sys.argv[4].encode()).hexdigest()}))\n"
    )
    docker.chmod(0o755)
    infra = shutil.copytree(INFRA, tmp_path / "infra")
    environment = {**os.environ, "PATH": f"{docker.parent}:{os.environ['PATH']}"}

    def pin() -> subprocess.CompletedProcess:
        command = [sys.executable, str(infra / "pin.py")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def named() -> list[str]:
        texts = [(infra / name(path)).read_text() for path in (*DOCKERFILES, COMPOSE, *KUBERAY, *RAY)]
        return [found for text in texts for found in re.findall(r"(?:image: |^ARG BASE=)(\S+)", text, re.MULTILINE)]

    before = named()
    assert pin().returncode == 0
    assert [image.partition("@")[0] for image in named()] == [image.partition("@")[0] for image in before]
    for image in named():
        plain, _, found = image.partition("@")
        ours = plain.startswith(("registry.example.com/", "ganops-mlflow:"))
        assert found == ("" if ours else f"sha256:{hashlib.sha256(plain.encode()).hexdigest()}")
    compose = infra / name(COMPOSE)
    compose.write_text(compose.read_text().replace("postgres:17.6", "postgres:99"))
    before = named()
    assert "no such tag" in pin().stderr
    assert named() == before


def test_nodes_run_the_locked_ray():
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tags = {tag(image) for _, image in images() if "/ganops:" in image}
    assert tags == {f"{ours}-ray{locked()['ray']}"}
    assert f"ganops:{tags.pop()}" in (INFRA / "images" / "Dockerfile").read_text()
    assert {cluster(path)["rayVersion"] for path in KUBERAY} == {locked()["ray"]}


def test_the_server_is_the_locked_mlflow():
    tags = {tag(image) for _, image in images() if image.startswith("ganops-mlflow:")}
    assert tags == {locked()["mlflow"]}


@each(LOCKS)
def test_locks_agree_with_requirements_lock(path):
    """`make lock` after every change of requirements.lock: both are installed side by side."""
    ours, theirs = locked(), locked(path)
    differ = {package: (ours[package], theirs[package]) for package in ours & theirs.keys()
              if ours[package] != theirs[package]}  # fmt: skip
    assert not differ, "run `make lock`"


@pytest.mark.parametrize("path", [*LOCKS, ROOT / "requirements.lock"], ids=lambda path: path.name)
def test_every_locked_package_has_hashes(path):
    entries = re.split(r"^(?=[a-z0-9-]+==)", path.read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


# --- images ---


@each(DOCKERFILES)
def test_images_install_hashed_packages_and_do_not_run_as_root(path):
    text = re.sub(r"\\\n\s*", "", path.read_text())
    installs = re.findall(r"pip install [^&\n]*", text)
    assert installs
    assert all("--require-hashes" in install and ".lock" in install for install in installs)
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users == ["1000"]
    assert text.index("USER 1000") > text.rindex("RUN "), "what runs last must not be root"
    assert "ADD " not in text
    assert "COPY . " not in text


def test_the_node_image_has_what_its_users_call():
    """git: DVC; ssh, rsync: `ray up`; wget: KubeRay's probes; nothing reports home."""
    text = (INFRA / "images" / "Dockerfile").read_text()
    install = re.search(r"apt-get install .*", text)[0].split()
    assert {"git", "openssh-client", "rsync", "wget"} <= set(install)
    for setting in ("RAY_USAGE_STATS_ENABLED=0", "MLFLOW_DISABLE_TELEMETRY=true", "DVC_NO_ANALYTICS=1"):
        assert setting in text
    assert {"dvc-s3", "dvc-ssh", "boto3"} <= locked(INFRA / "images" / "cluster.lock").keys()


@each(DOCKERFILES)
def test_the_build_sees_only_what_it_copies(path):
    ignore = Path(f"{path}.dockerignore").read_text().splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    copied = {source for line in re.findall(r"^COPY (.+)$", path.read_text(), re.MULTILINE)
              for source in line.split()[:-1]}  # fmt: skip
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules[1:]} == copied
    context = ROOT if path.parent.name == "images" else path.parent
    assert all((context / source).is_file() for source in copied)


def test_nothing_is_installed_at_run_time():
    for path in [*RAY, *KUBERAY, COMPOSE]:
        text = path.read_text()
        assert not re.search(r"\b(pip|conda|uv|apt-get|apt)\b[^\n]*\binstall\b", text), name(path)
        assert not re.search(r"^\s*(pip|uv|conda):", text, re.MULTILINE), name(path)
    for path in RAY:
        # absent, Ray would fill in its own, and those install
        assert all(load(path)[key] == [] for key in ("setup_commands", "head_setup_commands", "worker_setup_commands"))


# --- secrets and doors ---


def test_compose_does_not_start_without_passwords():
    asked = set()
    for service in load(COMPOSE)["services"].values():
        for key, value in service.get("environment", {}).items():
            if SECRET.search(key) or "://mlflow:" in value:
                assert re.search(r"\$\{(\w+):\?[^}]+\}", value), f"{key} is not asked for"
                asked |= set(re.findall(r"\$\{(\w+):\?", value))
    example = dict(re.findall(r"^(\w+)=(.*)$", (INFRA / "mlflow" / ".env.example").read_text(), re.MULTILINE))
    assert asked == example.keys()
    assert set(example.values()) == {""}


def test_examples_hold_no_secret():
    for path in INFRA.rglob("*.example"):
        for key, value in re.findall(r"^([A-Za-z_0-9]+)=(.*)$", path.read_text(), re.MULTILINE):
            assert value == "", f"{name(path)}: {key} has a value"
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/infra/mlflow/.env", "/infra/kuberay/secrets.env"} <= set(ignored)


def test_manifests_take_secrets_by_reference():
    example = re.findall(r"^(\w+)=", (INFRA / "kuberay" / "secrets.env.example").read_text(), re.MULTILINE)
    for path in KUBERAY:
        auth = cluster(path)["authOptions"]
        assert auth == {"mode": "token", "secretName": "ganops"}
        used = {"auth_token"}
        for container in containers(path):
            for variable in container["env"]:
                if SECRET.search(variable["name"]):
                    used.add(variable["valueFrom"]["secretKeyRef"]["key"])
                    assert variable["valueFrom"]["secretKeyRef"]["name"] == "ganops"
        assert used == set(example)


@each(RAY)
def test_clusters_take_secrets_from_files(path):
    given = options(path, "env")
    assert given["RAY_AUTH_MODE"] == "token"
    folder, _, file = given["RAY_AUTH_TOKEN_PATH"].rpartition("/")
    assert file == "auth_token"
    assert folder in load(path)["file_mounts"], "the token must be on every node"
    assert not [key for key in given if SECRET.search(key) and key != "RAY_AUTH_TOKEN_PATH"]
    assert any(option.startswith("--env-file ") for option in load(path)["docker"]["run_options"])


def test_ports_listen_on_loopback_unless_asked():
    for service in load(COMPOSE)["services"].values():
        for port in service.get("ports", []):
            assert re.fullmatch(r"\$\{\w+_BIND:-127\.0\.0\.1\}:\d+:\d+", port)


def test_the_server_asks_who_calls_and_under_which_name():
    server = load(COMPOSE)["services"]["mlflow"]
    assert "--app-name=basic-auth" in server["command"]
    assert "*" not in server["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"]
    auth = configparser.ConfigParser()
    auth.read(INFRA / "mlflow" / "basic_auth.ini")
    assert "admin_password" not in auth["mlflow"]
    (folder,) = [volume.partition(":")[2] for volume in server["volumes"]]
    assert auth["mlflow"]["database_uri"].startswith(f"sqlite:///{folder}/"), "users must outlive the container"


def test_the_image_has_the_driver_of_the_store():
    # without a name SQLAlchemy chooses, and its choice has changed
    uri = load(COMPOSE)["services"]["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    driver = re.match(r"postgresql\+(\w+)://", uri)[1]
    assert f"{driver}-binary" in locked(INFRA / "mlflow" / "server.lock")


def test_services_keep_their_data_and_say_when_they_are_ready():
    compose = load(COMPOSE)
    for key, service in compose["services"].items():
        if service.get("restart"):
            assert "healthcheck" in service, key
            (volume,) = [volume.partition(":")[0] for volume in service["volumes"]]
            assert volume in compose["volumes"], key


# --- Ray ---


@each(KUBERAY)
def test_pods(path):
    for pod in pods(path):
        assert pod["securityContext"]["runAsNonRoot"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts.values()) == set(volumes)
            assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
            assert not container["securityContext"]["allowPrivilegeEscalation"]
    claim = load(INFRA / "kuberay" / "storage.yaml")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"], "every pod reaches it"
    assert volumes["storage"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


@each(KUBERAY)
def test_gpu_workers_come_when_asked(path):
    spec = cluster(path)
    assert spec["enableInTreeAutoscaling"]
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (gpu,) = spec["workerGroupSpecs"]
    assert gpu["minReplicas"] == 0 < gpu["maxReplicas"]
    (worker,) = gpu["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert gpu["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_a_job_ends_and_cleans_up():
    spec = load(INFRA / "kuberay" / "rayjob.yaml")["spec"]
    assert spec["entrypoint"] == "python -m ganops.jobs.remote"
    assert spec["submissionMode"] == "SidecarMode"
    # KubeRay refuses both beside SidecarMode
    assert not spec.keys() & {"submitterPodTemplate", "clusterSelector"}
    assert spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["shutdownAfterJobFinishes"]
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["activeDeadlineSeconds"] > 0
    assert yaml.safe_load(spec["runtimeEnvYAML"]).keys() == {"working_dir", "env_vars"}


def test_the_job_runs_on_the_same_cluster_as_submissions():
    """Two files, one cluster: only the number of workers at the start differs."""
    one, other = (cluster(path) for path in KUBERAY)
    for spec in (one, other):
        spec["workerGroupSpecs"][0].pop("replicas")
    assert one == other


@each(RAY)
def test_ray_up(path):
    config = load(path)
    head, worker = config["head_start_ray_commands"][-1], config["worker_start_ray_commands"][-1]
    assert "--disable-usage-stats" in head
    (shm,) = [option for option in config["docker"]["run_options"] if option.startswith("--shm-size=")]
    for command in (head, worker):
        store = int(re.search(r"--object-store-memory=(\d+)", command)[1])
        assert store < int(re.search(r"(\d+)gb", shm)[1]) * 2**30, "the object store lives in /dev/shm"


def test_a_silent_node_is_given_up_within_20_seconds():
    found = [options(path, "env") for path in RAY]
    found += [{v["name"]: v.get("value") for v in containers(path)[0]["env"]} for path in KUBERAY]
    for given in found:
        period, timeout, misses = (
            int(given[f"RAY_health_check_{key}"]) for key in ("period_ms", "timeout_ms", "failure_threshold")
        )
        assert (period + timeout) * misses <= 20_000
        assert misses > 1, "one late answer is no death"


def test_aws_pays_for_work_only():
    config = load(INFRA / "ray" / "aws.yaml")
    gpu = config["available_node_types"]["gpu"]
    assert gpu["min_workers"] == 0 < gpu["max_workers"] <= config["max_workers"]
    assert 0 < config["idle_timeout_minutes"] <= 30
    assert not config["provider"]["cache_stopped_nodes"]
    for node in config["available_node_types"].values():
        (disk,) = node["node_config"]["BlockDeviceMappings"]
        assert disk["Ebs"]["Encrypted"]
        assert disk["Ebs"]["DeleteOnTermination"]
        assert node["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
