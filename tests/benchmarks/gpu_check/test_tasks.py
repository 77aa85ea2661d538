from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.gpu_check.cases import Case
from benchmarks.gpu_check.tasks import Task, lead_network, task_named, tasks_of
from rtseg.errors import UnknownNameError


@pytest.fixture
def cases(case: Case) -> list[Case]:
    """Three networks at two sizes, in the order of their names; affnet is not the first."""
    of = {"a-first": "espnet", "affnet-camvid": "affnet", "affnet-streets": "affnet"}
    return [
        replace(case, network=name, resolution=size, checkpoint={**case.checkpoint, "network": network})
        for name, network in of.items()
        for size in ("512x512", "1024x2048")
    ]


def test_affnet_at_the_largest_size_comes_first_in_fp16_then_int8_then_fp32(cases: list[Case]) -> None:
    names = [task.name for task in tasks_of(cases)]
    assert [name for name in names if not name.endswith(("torch", "compile", "labels", "scores"))][:4] == [
        "affnet-camvid/1024x2048/fp16",
        "affnet-camvid/1024x2048/int8",
        "affnet-camvid/1024x2048/fp32",
        "a-first/1024x2048/fp16",
    ]


def test_what_the_promises_on_speed_need_is_done_right_after_the_first_engine(cases: list[Case]) -> None:
    assert [task.kind for task in tasks_of(cases)][:3] == ["fp16", "labels", "torch"]


def test_all_networks_come_at_the_largest_size_before_any_at_another(cases: list[Case]) -> None:
    sizes = [task.case.resolution for task in tasks_of(cases)]
    assert sizes == sorted(sizes, key=("1024x2048", "512x512").index)


def test_every_task_has_a_name_of_its_own_by_which_it_is_found(cases: list[Case]) -> None:
    tasks = tasks_of(cases)
    assert len({task.name for task in tasks}) == len(tasks) == 6 * 7
    assert all(task_named(task.name, cases) == task for task in tasks)
    with pytest.raises(UnknownNameError, match="1024x2048/fp16"):
        task_named("affnet-camvid/1024x2048/fp8", cases)


def test_torch_is_needed_by_its_own_tasks_only_and_the_cpu_can_do_one_of_them(case: Case) -> None:
    needs = {kind: Task(case, kind).needs for kind in ("fp16", "labels", "torch", "torch-compile")}
    assert needs == {"fp16": "tensorrt", "labels": "tensorrt", "torch": "torch", "torch-compile": "torch"}
    assert [kind for kind in needs if Task(case, kind).runs_on("cpu")] == ["torch"]


def test_without_an_affnet_no_network_leads(cases: list[Case]) -> None:
    assert lead_network(cases) == "affnet-camvid"
    assert lead_network(cases[:2]) is None
    assert tasks_of(cases[:2])[0].name == "a-first/1024x2048/fp16"
