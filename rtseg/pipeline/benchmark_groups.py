"""What a benchmark is made of: files, networks, or a paper's networks, in groups that are timed in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Callable

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.benchmarking.groups import Group
from rtseg.benchmarking.subjects import Subject
from rtseg.errors import RunnerError
from rtseg.observer import Observer
from rtseg.pipeline.arguments import DEFAULT_CLASSES, Classes, NetworkLike, classes_of, prepared_network
from rtseg.pipeline.benchmark_files import BenchmarkFiles
from rtseg.pipeline.contenders import Contender
from rtseg.pipeline.trained_weights import TrainedWeights
from rtseg.runners.registry import RUNNABLE, runner_names
from rtseg.specs import Resolution

if TYPE_CHECKING:
    from rtseg.benchmarking.paper_table import TablePlan, TimedPlace
    from rtseg.networks.prepared import PreparedNetwork

EVERY_BOUNDARY = ("scores", "logits")
"""The interfaces that a network is exported with: its scores give the boundary `network`, its logits the others."""

PAPERS_BOUNDARY = ("scores",)

Makers = dict[str, Callable[[Observer], Subject]]


def group_of_files(sources: Sequence[ArtifactLike], runners: Sequence[str]) -> Group:
    """Return the group of files, each behind each of the runners that take its kind, or its default where none does.

    Raises ManifestError, and RunnerError for a runner that takes none of them.
    """
    artifacts = [Artifact.open(source, kind=RUNNABLE) for source in sources]
    kinds = {artifact.manifest.kind for artifact in artifacts}
    taken = [name for kind in kinds for name in runner_names(kind)]
    if unused := [name for name in runners if name not in taken]:
        raise RunnerError(f"{unused[0]} runs none of these files", expected=f"one of {', '.join(taken)}")
    makers: Makers = {}
    for number, artifact in enumerate(artifacts, 1):
        fitting = [name for name in runners if name in runner_names(artifact.manifest.kind)]
        for runner in (*fitting,) or (None,):
            name = f"{artifact.path.name} ({number} of {len(artifacts)}) {runner or ''}"
            makers[name.rstrip()] = partial(_as_it_is, Subject.of(artifact, runner))
    return Group("files", makers)


def _as_it_is(subject: Subject, observer: Observer) -> Subject:
    return subject


@dataclass(frozen=True)
class NetworkGroups:
    """Networks by name, factory or checkpoint, behind every contender at one size.

    Those that are named are one group; all registered networks, where none is named, a group each, as so many at once
    would fill the memory. weights, where given, are taken instead of random ones.
    """

    names: Sequence[NetworkLike]
    checkpoint: ArtifactLike | None
    classes: Classes | None
    weights: TrainedWeights | None

    def groups(self, size: Resolution, contenders: Sequence[Contender], files: BenchmarkFiles) -> list[Group]:
        """Return the groups. A name, checkpoint or size that cannot be is refused now, not when its turn comes."""
        if not self.names and self.checkpoint is None:
            return self._registered(size, contenders, files)
        makers: Makers = {}
        for name in (*self.names,) or (None,):
            network = self._network(name)
            network.image_spec(size)
            makers.update(_makers(network.name, partial(_kept, network), size, EVERY_BOUNDARY, contenders, files))
        return [Group("networks", makers)]

    def _registered(self, size: Resolution, contenders: Sequence[Contender], files: BenchmarkFiles) -> list[Group]:
        from rtseg.networks.complexity import meta_network
        from rtseg.networks.registry import network_names, network_spec

        classes, groups = len(classes_of(self.classes or DEFAULT_CLASSES)), []
        for name in network_names():
            size.require_multiple_of(meta_network(network_spec(name), classes).multiple, name)
            network = partial(self._network, name)
            groups.append(Group(name, _makers(name, network, size, EVERY_BOUNDARY, contenders, files)))
        return groups

    def _network(self, name: NetworkLike | None) -> PreparedNetwork:
        network = prepared_network(name, checkpoint=self.checkpoint, classes=self.classes)
        if self.weights is None or not network.weights.startswith("random"):
            return network
        return trained_or_random(network, self.weights)


def trained_or_random(network: PreparedNetwork, weights: TrainedWeights) -> PreparedNetwork:
    """Return the network with the weights that there are for it, as it is where there are none."""
    checkpoint = weights.of(network.name, network.options, network.classes)
    return network if checkpoint is None else prepared_network(None, checkpoint=checkpoint)


def groups_of_table(
    plan: TablePlan, contenders: Sequence[Contender], files: BenchmarkFiles, weights: TrainedWeights | None
) -> list[Group]:
    """Return a group for each network at each size of a table, at the boundary that papers time."""
    groups = []
    for (name, options), sizes in plan.networks.items():
        for size in sizes:
            network = partial(_of_table, name, options, plan, weights)
            label = f"{name} {' '.join('='.join(option) for option in options)} {size}"
            groups.append(Group(label, _makers(name, network, size, PAPERS_BOUNDARY, contenders, files)))
    return groups


def places_of_table(plan: TablePlan, contenders: int) -> list[TimedPlace]:
    """Return where in the table each row belongs, in the order in which the groups give them."""
    from rtseg.benchmarking.paper_table import TimedPlace

    return [
        TimedPlace(variant, size, contender)
        for variant, sizes in plan.networks.items()
        for size in sizes
        for contender in range(contenders)
    ]


def _of_table(
    name: str, options: Sequence[tuple[str, str]], plan: TablePlan, weights: TrainedWeights | None
) -> PreparedNetwork:
    network = prepared_network(name, classes=plan.classes, options=dict(options))
    return network if weights is None else trained_or_random(network, weights)


def _makers(
    name: str,
    network: Callable[[], PreparedNetwork],
    size: Resolution,
    interfaces: Sequence[str],
    contenders: Sequence[Contender],
    files: BenchmarkFiles,
) -> Makers:
    return {
        f"{name} {size} {interface} {contender}": partial(_made, files, network, size, interface, contender)
        for contender in contenders
        for interface in interfaces
    }


def _made(
    files: BenchmarkFiles,
    network: Callable[[], PreparedNetwork],
    size: Resolution,
    interface: str,
    contender: Contender,
    observer: Observer,
) -> Subject:
    return files.subject(network(), size, interface, contender, observer)


def _kept(network: PreparedNetwork) -> PreparedNetwork:
    return network
