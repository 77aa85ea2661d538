"""Group the files, networks or paper's networks of a benchmark; the members of a group are timed in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Callable

from rtseg.artifacts.artifact import Artifact, ArtifactLike
from rtseg.benchmarking.groups import Group
from rtseg.benchmarking.subjects import Obstacle, Subject
from rtseg.datasets.own_classes import OWN
from rtseg.errors import ManifestError, RtsegError, RunnerError, SpecError
from rtseg.observer import Observer
from rtseg.pipeline.arguments import (
    DEFAULT_CLASSES,
    NOTHING_SAID,
    Classes,
    NetworkLike,
    OwnNetwork,
    classes_of,
    is_checkpoint,
    path_of,
    prepared_network,
)
from rtseg.pipeline.benchmark_files import BenchmarkFiles
from rtseg.pipeline.contenders import Contender
from rtseg.pipeline.trained_weights import TrainedWeights
from rtseg.runners.registry import RUNNABLE, runner_names
from rtseg.specs import ClassSpec, Resolution

if TYPE_CHECKING:
    from rtseg.benchmarking.paper_table import TablePlan, TimedPlace
    from rtseg.networks.prepared import PreparedNetwork

EVERY_BOUNDARY = ("scores", "logits")
"""The interfaces that a network is exported with: scores for the boundary `network`, logits for the others."""

PAPERS_BOUNDARY = ("scores",)

Makers = dict[str, Callable[[Observer], Subject]]


def group_of_files(
    sources: Sequence[ArtifactLike], runners: Sequence[str], observer: Observer
) -> tuple[Group, list[str]]:
    """Return the group of files, each with each of the runners for its kind, or with its default if there is none.

    A missing or damaged file is skipped with a warning; the reasons are returned too. Raises ManifestError if every
    file is skipped, and RunnerError for a runner that can run none of them.
    """
    artifacts, errors = [], []
    for source in sources:
        try:
            artifacts.append(Artifact.open(source, kind=RUNNABLE))
        except ManifestError as error:
            errors.append(error)
    if not artifacts:
        raise errors[0]
    for reason in errors:
        observer.warning(f"skipped: {reason}")
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
    return Group("files", makers), list(map(str, errors))


def _as_it_is(subject: Subject, observer: Observer) -> Subject:
    return subject


@dataclass(frozen=True)
class NetworkGroups:
    """Networks by name, factory or checkpoint, with every contender at one size.

    Named networks form one group per interface: all networks of a boundary take turns, and an interrupted run keeps its
    other boundaries. If none is named, each registered network forms its own group, because all at once would fill the
    memory. weights, if given, replace random ones. data_classes are those of labelled data, None without any: the
    networks use them unless others are given. own holds the facts about named networks.
    """

    names: Sequence[NetworkLike]
    checkpoint: ArtifactLike | None
    classes: Classes | None
    data_classes: ClassSpec | None
    weights: TrainedWeights | None
    own: OwnNetwork = NOTHING_SAID

    def groups(self, size: Resolution, contenders: Sequence[Contender], files: BenchmarkFiles) -> list[Group]:
        """Return the groups. An invalid name, checkpoint or size is refused now, not when its turn comes."""
        if not self.names and self.checkpoint is None:
            return self._registered(size, contenders, files)
        networks = {name: self._network(name, size) for name in dict.fromkeys((*self.names,) or (None,))}
        for network in networks.values():
            network.image_spec(size)
            self._require_classes_of_data(network.classes)
        return [
            Group(f"networks, {interface}", self._named(networks, size, interface, contenders, files))
            for interface in EVERY_BOUNDARY
        ]

    def _named(
        self,
        networks: Mapping[NetworkLike | None, PreparedNetwork],
        size: Resolution,
        interface: str,
        contenders: Sequence[Contender],
        files: BenchmarkFiles,
    ) -> Makers:
        makers: Makers = {}
        for number, (name, network) in enumerate(networks.items(), 1):
            label = f"{network.name} ({number} of {len(networks)})" if len(networks) > 1 else network.name
            kept = partial(_kept, network)
            makers.update(_makers(label, network.name, kept, size, (interface,), contenders, files, _file_of(name)))
        return makers

    def _registered(self, size: Resolution, contenders: Sequence[Contender], files: BenchmarkFiles) -> list[Group]:
        from rtseg.networks.complexity import meta_network
        from rtseg.networks.registry import network_names, network_spec

        classes, groups = classes_of(self.classes or DEFAULT_CLASSES), []
        self._require_classes_of_data(classes)
        for name in network_names():
            size.require_multiple_of(meta_network(network_spec(name), len(classes)).multiple, name)
            network = partial(self._network, name, size)
            groups.append(Group(name, _makers(name, name, network, size, EVERY_BOUNDARY, contenders, files)))
        return groups

    def _require_classes_of_data(self, classes: ClassSpec) -> None:
        if self.data_classes is not None:
            require_classes_of(self.data_classes, classes, "the networks have", "pass --classes")

    def _network(self, name: NetworkLike | None, size: Resolution) -> PreparedNetwork:
        brings_classes = self.checkpoint is not None or (name is not None and is_checkpoint(name))
        classes = self.classes or (None if brings_classes or self.data_classes is None else self.data_classes)
        network = prepared_network(name, checkpoint=self.checkpoint, classes=classes, resolution=size, own=self.own)
        if self.weights is None or not network.weights.startswith("random"):
            return network
        return trained_or_random(network, self.weights)


def trained_or_random(network: PreparedNetwork, weights: TrainedWeights) -> PreparedNetwork:
    """Return the network with its trained weights; unchanged if there are none."""
    checkpoint = weights.of(network.name, network.options, network.classes)
    return network if checkpoint is None else prepared_network(None, checkpoint=checkpoint)


def groups_of_table(
    plan: TablePlan, contenders: Sequence[Contender], files: BenchmarkFiles, weights: TrainedWeights | None
) -> list[Group]:
    """Return a group for each network at each size of a table, with the boundary that papers time."""
    groups = []
    for (name, options), sizes in plan.networks.items():
        for size in sizes:
            network = partial(_of_table, name, options, plan, weights)
            label = " ".join([name, *map("=".join, options)])
            makers = _makers(label, name, network, size, PAPERS_BOUNDARY, contenders, files)
            groups.append(Group(f"{label} {size}", makers))
    return groups


def places_of_table(plan: TablePlan, contenders: int) -> list[TimedPlace]:
    """Return the place of each row in the table, in the order of the groups' rows."""
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


def require_classes_of(data: ClassSpec, classes: ClassSpec, what: str, hint: str) -> None:
    """Raise SpecError, with advice about the class list, unless the classes begin with those of the data."""
    if classes.names[: len(data)] != data.names:
        raise SpecError(
            f"{what} other classes than the data",
            got=data.words(classes),
            expected=classes.words(data),
            hint=f"{hint} {'FILE.toml, the list of the data' if data.dataset == OWN else data.dataset}",
        )


def _file_of(source: NetworkLike | None) -> str:
    """Return the name of the given checkpoint, "" without one."""
    path = path_of(source)
    return path.name if path is not None and is_checkpoint(source) else ""


def _makers(
    label: str,
    name: str,
    network: Callable[[], PreparedNetwork],
    size: Resolution,
    interfaces: Sequence[str],
    contenders: Sequence[Contender],
    files: BenchmarkFiles,
    file: str = "",
) -> Makers:
    return {
        f"{label} {size} {interface} {contender}": partial(
            _made, files, name, network, size, interface, contender, file
        )
        for contender in contenders
        for interface in interfaces
    }


def _made(
    files: BenchmarkFiles,
    name: str,
    network: Callable[[], PreparedNetwork],
    size: Resolution,
    interface: str,
    contender: Contender,
    file: str,
    observer: Observer,
) -> Subject:
    try:
        prepared = network()
    except RtsegError as error:
        observer.warning(str(error))
        nothing = (str(size), contender.precision, interface, contender.runner)
        return Subject(name, "-", *nothing, obstacle=Obstacle.of_making(error), file=file)
    return replace(files.subject(prepared, size, interface, contender, observer), file=file)


def _kept(network: PreparedNetwork) -> PreparedNetwork:
    return network
