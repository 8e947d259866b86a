import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

import polysemantic
from polysemantic.sweep.command import main
from tests.support.sweeping import at_work, beginnings, results, sweep_directory, wait_for, write_sweep_files

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


class Cluster:
    """Two nodes on loopback, with token authentication, and more as asked for.

    Each node is a process group of its own: what is killed is what was started.
    """

    def __init__(self, directory):
        (directory / "token").write_text(secrets.token_hex(16))
        with socket.socket() as free:
            free.bind(("127.0.0.2", 0))
            self.address = f"127.0.0.2:{free.getsockname()[1]}"
        self.environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(directory / "token"),
        }
        self.logs = directory
        self.nodes = []

    def begin(self):
        port = self.address.partition(":")[2]
        head = ["--head", "--include-dashboard=false", f"--port={port}", f"--temp-dir={self.logs}/ray"]
        self.wait_for_nodes(1, self.start("first", *head, "--node-ip-address=127.0.0.2"))
        self.add("second", "127.0.0.3")

    def start(self, where, *options):
        ray = Path(sys.executable).with_name("ray")
        common = ["--num-cpus=1", "--num-gpus=1", "--object-store-memory=100000000", "--block"]
        with (self.logs / f"{where}.log").open("w") as log:
            node = subprocess.Popen(
                [ray, "start", *options, *common],
                env=self.environment | {"WHERE": where, "SLOW": "0.1"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.nodes.append(node)
        return node

    def add(self, where, ip):
        node = self.start(where, f"--address={self.address}", f"--node-ip-address={ip}")
        self.wait_for_nodes(len([node for node in self.nodes if node.poll() is None]), node)
        return node

    def wait_for_nodes(self, count, added):
        def up():
            asked = f"import ray; ray.init({self.address!r}); print('nodes', sum(n['Alive'] for n in ray.nodes()))"
            done = subprocess.run([sys.executable, "-c", asked], env=self.environment, capture_output=True, text=True)
            return f"nodes {count}" in done.stdout

        wait_for(up, added)

    def sweep(self, config, *options):
        """Start a sweep on the cluster from the directory of its file."""
        return subprocess.Popen(
            [sys.executable, "-m", "polysemantic", "sweep", f"--config={config}", "--engine=ray", *options],
            cwd=config.parent,
            env=self.environment | {"RAY_ADDRESS": self.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def close(self):
        for node in reversed(self.nodes):
            kill(node)


def kill(node):
    if node.poll() is None:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()


@pytest.fixture(scope="session")
def cluster():
    # The sockets of Ray need a short path.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as directory:
        cluster = Cluster(Path(directory))
        try:
            cluster.begin()
            yield cluster
        finally:
            cluster.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The same sweep in this process."""
    directory = tmp_path_factory.mktemp("undisturbed")
    config = write_sweep_files(directory)
    before = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.syspath_prepend(directory)
        assert main([f"--config={config}"]) == 0
    assert Path.cwd() == before
    return directory


def assert_complete_and_equal(driver, directory, undisturbed):
    out, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, (out, err)
    ours, theirs = results(directory), results(undisturbed)
    assert len(ours) == 12
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    for cell in (sweep_directory(directory) / "cells").iterdir():
        one, other = (
            polysemantic.load(path / "cells" / cell.name) for path in map(sweep_directory, (directory, undisturbed))
        )
        pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
        assert all((values == other.model[name]).all() for name, values in one.model.items())


def assert_resumed(cell, killed):
    """A cell went on in another process where its checkpoint was."""
    told = beginnings(cell)
    assert told[-1]["pid"] != killed["pid"]
    assert told[-1]["step"] > killed["step"]


def test_a_killed_worker_leaves_no_trace_in_the_table(cluster, undisturbed, tmp_path):
    driver = cluster.sweep(write_sweep_files(tmp_path))
    cell, who = wait_for(at_work(tmp_path, "second"), driver)
    os.kill(who["pid"], signal.SIGKILL)
    assert_complete_and_equal(driver, tmp_path, undisturbed)
    assert_resumed(cell, who)


def test_fractions_of_processors_and_accelerators_let_cells_share_them(cluster, undisturbed, tmp_path):
    config = write_sweep_files(tmp_path)
    # Each of three cells on two nodes waits for the other two.
    (tmp_path / "together.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "import watched\n"
        "class Together(watched.Watched):\n"
        "    def on_train_start(self, trainer, module):\n"
        "        super().on_train_start(trainer, module)\n"
        "        until = time.monotonic() + 120\n"
        "        while len(list(Path(trainer.log_dir).parent.glob('*/began.txt'))) < 3:\n"
        "            assert time.monotonic() < until\n"
        "            time.sleep(0.1)\n"
    )
    config.write_text(config.read_text().replace("watched.Watched", "together.Together"))
    driver = cluster.sweep(config, "--cpus_per_cell=0.5", "--gpus_per_cell=0.25")
    out, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, (out, err)
    told = [beginnings(cell) for cell in (sweep_directory(tmp_path) / "cells").iterdir()]
    assert [[one["gpus"] for one in cell] for cell in told] == [["0"]] * 3
    columns = [name for name in results(tmp_path) if name != "cell"]
    pd.testing.assert_frame_equal(results(tmp_path)[columns], results(undisturbed)[columns], check_exact=True)


def test_a_killed_driver_is_started_again_and_goes_on(cluster, undisturbed, tmp_path):
    config = write_sweep_files(tmp_path)
    driver = cluster.sweep(config)
    cell, who = wait_for(at_work(tmp_path, "first"), driver)
    driver.kill()
    driver.communicate()
    assert_complete_and_equal(cluster.sweep(config), tmp_path, undisturbed)
    assert_resumed(cell, who)


def test_a_killed_node_leaves_no_trace_in_the_table(cluster, undisturbed, tmp_path):
    node = cluster.add("third", "127.0.0.4")
    driver = cluster.sweep(write_sweep_files(tmp_path))
    cell, who = wait_for(at_work(tmp_path, "third"), driver)
    kill(node)
    assert_complete_and_equal(driver, tmp_path, undisturbed)
    assert_resumed(cell, who)
    assert beginnings(cell)[-1]["where"] != "third"


LOCAL = """
from polysemantic.sweep.ray_engine import RayCluster
engine = RayCluster()
import ray, psutil
from ray._raylet import AuthenticationMode, get_authentication_mode
ray.get(ray.remote(lambda: None).remote())
me = psutil.Process()
for process in (me, *me.children(recursive=True)):
    for socket in process.net_connections("inet"):
        if socket.status == psutil.CONN_LISTEN:
            print(socket.laddr.ip.removeprefix("::ffff:"))
print(get_authentication_mode() == AuthenticationMode.TOKEN)
engine.close()
"""


@pytest.fixture
def alone(tmp_path):
    """An environment without a cluster, of a user who has no token and wants none."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return environment | {"OMP_NUM_THREADS": "1", "HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled"}


def run(*arguments, environment, directory):
    return subprocess.run(
        [sys.executable, *arguments], cwd=directory, env=environment, capture_output=True, text=True, timeout=240
    )


def test_a_cluster_of_this_machine_is_reached_from_this_machine_alone_with_a_token(alone, tmp_path):
    done = run("-c", LOCAL, environment=alone, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    *addresses, token = done.stdout.split()
    assert len(addresses) > 4
    assert set(addresses) == {"127.0.0.1"}
    assert token == "True"


def test_a_cluster_of_this_machine_is_not_begun_unguarded(alone, tmp_path):
    done = run("-c", f"import ray\n{LOCAL}", environment=alone, directory=tmp_path)
    assert "ValueError: `engine` ray must find RAY_" in done.stderr


def test_a_sweep_runs_on_a_cluster_of_this_machine(alone, undisturbed, tmp_path):
    config = write_sweep_files(tmp_path)
    done = run(
        "-m", "polysemantic", "sweep", f"--config={config}", "--engine=ray", environment=alone, directory=tmp_path
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    pd.testing.assert_frame_equal(results(tmp_path), results(undisturbed), check_exact=True)


def test_a_missing_token_is_one_line(alone, tmp_path):
    config = write_sweep_files(tmp_path)
    cluster = {"RAY_ADDRESS": "127.0.0.2:7399", "RAY_AUTH_MODE": "token"}
    said = "error: `RAY_AUTH_TOKEN_PATH` must hold the cluster's token, got none: "
    for path in ({}, {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")}):
        options = {"environment": alone | cluster | path, "directory": tmp_path}
        done = run("-m", "polysemantic", "sweep", f"--config={config}", "--engine=ray", **options)
        assert done.returncode == 2
        assert done.stderr.startswith(said)
        assert done.stderr.count("\n") == 1
