from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys

import pytest

from rtseg.benchmarking import environment as env

# Answers like nvidia-smi: one line per GPU, exit status 2 for a field it does not know.
FAKE_NVIDIA_SMI = """#!{python} -IS
import sys
known = {known!r}
fields = next(a for a in sys.argv if a.startswith("--query-gpu=")).partition("=")[2].split(",")
if any(field not in known for field in fields):
    print("Field is not a valid field to query.")
    sys.exit(2)
for gpu in range(2):
    print(", ".join(known[field][gpu] for field in fields))
"""

ALL_GPU_ANSWERS = {
    **{field: ("[N/A]", "[N/A]") for field in env.GPU_FIELDS},
    "name": ("NVIDIA H200", "NVIDIA A2"),
    "driver_version": ("535.10", "535.10"),
    "clocks.sm": ("1980", "210"),
    "power.draw": ("71.25", "[Not Supported]"),
    "clocks_event_reasons.active": ("0x0000000000000024", "0x0000000000000000"),
}


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    def install(answers):
        program = tmp_path / "nvidia-smi"
        program.write_text(FAKE_NVIDIA_SMI.format(python=sys.executable, known=answers), encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


@pytest.fixture
def tree(tmp_path):
    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.fixture
def repository(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("needs git")
    folder = tmp_path / "checkout"
    (folder / "rtseg").mkdir(parents=True)
    (folder / "rtseg/module.py").write_text("", encoding="utf-8")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "--no-gpg-sign", "-m", "first")
    return folder


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def leaves(value):
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def test_environment_goes_to_json_and_comes_back_equal():
    found = env.environment()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_environment_names_what_a_reader_asks_for_first():
    found = env.environment()
    assert found["cpu"]["architecture"] == platform.machine()
    assert found["cpu"]["available_cores"] >= 1
    assert found["python"].endswith(platform.python_version())
    assert "numpy" in found["tools"]
    assert set(found) >= {"memory_bytes", "os", "load_average", "gpus", "checkout", "variables"}


def test_environment_tells_neither_paths_nor_host_nor_user(monkeypatch):
    for name in ("USER", "LOGNAME", "HOME"):
        monkeypatch.setenv(name, "/home/somebody")
    texts = [leaf for leaf in leaves(env.environment()) if isinstance(leaf, str)]
    assert not [text for text in texts if text.startswith("/") or "somebody" in text]
    assert platform.node() not in texts


def test_environment_survives_without_any_program_to_ask(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = env.environment()
    assert (found["gpus"], found["checkout"]) == ([], None)


def test_thread_variables_are_kept_and_others_are_not(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("RTSEG_SECRET", "hidden")
    variables = env.environment()["variables"]
    assert variables["OMP_NUM_THREADS"] == "3"
    assert "RTSEG_SECRET" not in variables


def test_cpu_model_is_the_kernels_name_of_it(tree):
    assert (
        env.cpu_model(tree({"proc/cpuinfo": "processor : 0\nmodel name\t: Fast CPU @ 3 GHz\n"})) == "Fast CPU @ 3 GHz"
    )


def test_cpu_model_of_a_board_is_the_boards_name(tree):
    root = tree({"proc/cpuinfo": "processor : 0\nCPU part : 0xd42\n", "proc/device-tree/model": "Jetson AGX Orin\0"})
    assert env.cpu_model(root) == "Jetson AGX Orin"


def test_quota_of_cgroup_version_2_is_in_cores(tree):
    assert env.cpu_quota_cores(tree({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"})) == 1.5


def test_quota_of_cgroup_version_2_without_limit_is_none(tree):
    assert env.cpu_quota_cores(tree({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"})) is None


def test_tightest_quota_on_the_way_up_counts(tree):
    root = tree(
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            "sys/fs/cgroup/outer/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/outer/inner/cpu.max": "400000 100000\n",
        }
    )
    assert env.cpu_quota_cores(root) == 2


def test_quota_of_cgroup_version_1_is_found_at_the_containers_root(tree):
    root = tree(
        {
            "proc/self/cgroup": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
    )
    assert env.cpu_quota_cores(root) == 0.5


def test_quota_of_cgroup_version_1_without_limit_is_none(tree):
    root = tree(
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        }
    )
    assert env.cpu_quota_cores(root) is None


def test_machine_without_linux_files_has_no_quota_governor_or_distribution(tmp_path, monkeypatch):
    monkeypatch.setattr(platform, "mac_ver", lambda: ("14.5", ("", "", ""), "arm64"))
    assert env.cpu_quota_cores(tmp_path) is None
    assert env.cpu_governor(tmp_path) is None
    assert env.os_name(tmp_path) == "macOS 14.5"


def test_different_governors_are_all_named(tree):
    cpus = "sys/devices/system/cpu"
    root = tree(
        {
            f"{cpus}/cpu0/cpufreq/scaling_governor": "schedutil\n",
            f"{cpus}/cpu1/cpufreq/scaling_governor": "performance\n",
        }
    )
    assert env.cpu_governor(root) == "performance, schedutil"


def test_gpus_are_listed_with_numbers_as_numbers_and_versions_as_text(nvidia_smi):
    nvidia_smi(ALL_GPU_ANSWERS)
    first = env.gpus()[0]
    assert (first["name"], first["driver"]) == ("NVIDIA H200", "535.10")
    assert (first["sm_clock_mhz"], first["power_w"]) == (1980, 71.25)


def test_gpu_field_that_is_not_reported_is_none(nvidia_smi):
    nvidia_smi(ALL_GPU_ANSWERS)
    second = env.gpus()[1]
    assert (second["power_w"], second["persistence"]) == (None, None)


def test_throttle_reasons_are_told_in_words(nvidia_smi):
    nvidia_smi(ALL_GPU_ANSWERS)
    assert [gpu["throttle_reasons"] for gpu in env.gpus()] == [["software power cap", "software thermal slowdown"], []]


def test_older_driver_that_knows_fewer_fields_still_answers_the_others(nvidia_smi):
    nvidia_smi(
        {
            "name": ("Tesla T4", "Tesla T4"),
            "clocks.sm": ("585", "585"),
            "clocks_throttle_reasons.active": ("0x0000000000000001", "0x0000000000000001"),
        }
    )
    first = env.gpus()[0]
    assert (first["name"], first["sm_clock_mhz"], first["compute_capability"]) == ("Tesla T4", 585, None)
    assert first["throttle_reasons"] == ["idle"]


def test_gpu_program_that_fails_means_no_gpus(nvidia_smi):
    nvidia_smi({})
    assert env.gpus() == []


def test_checkout_as_committed_is_clean(repository):
    found = env.checkout(repository)
    assert len(found["commit"]) == 40
    assert found["dirty"] is False


def test_change_in_the_library_makes_the_checkout_dirty(repository):
    (repository / "rtseg/module.py").write_text("changed = True\n", encoding="utf-8")
    assert env.checkout(repository)["dirty"] is True


def test_result_written_beside_the_library_leaves_the_checkout_clean(repository):
    (repository / "result.json").write_text("{}", encoding="utf-8")
    assert env.checkout(repository)["dirty"] is False


def test_folder_inside_somebody_elses_checkout_is_no_checkout(repository):
    assert env.checkout(repository / "rtseg") is None


def test_checkout_without_a_commit_is_none(tmp_path, repository):
    git(tmp_path, "init", "--quiet")
    assert env.checkout(tmp_path) is None


def test_git_variables_of_a_surrounding_hook_do_not_mislead(repository, monkeypatch):
    expected = env.checkout(repository)
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert env.checkout(repository) == expected
