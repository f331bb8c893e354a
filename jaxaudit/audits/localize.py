"""From a target and its training pictures to UnitMem of every hidden unit: one pass, constant memory.

    DIRECTORY/manifest.json      what was asked, and of what
    DIRECTORY/state-0.npz        running statistics of process 0, removed in the end
    DIRECTORY/units.npz          the result, a `UnitMap`

Pictures are taken class by class, so that class means need no array per class: memory is a few arrays of the
units' shape for each subset, whatever the number of pictures and classes. Subsets of different sizes are
nested and share the pass. A killed run goes on after the last part (some whole classes) it had finished.

Axes: N pictures, R nested subsets, T stages, K blocks, F units of a block (`jaxaudit.attacks.localization`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxaudit.attacks.localization import ActivationMeter, Views
from jaxaudit.audits.request import precision
from jaxaudit.data import PictureBatch, Source, batches, resolve_labels, scan
from jaxaudit.errors import InputError
from jaxaudit.evidence import UnitMap, write_arrays, write_atomically
from jaxaudit.evidence.units import FILE
from jaxaudit.runtime.parallel import Pending, one_in_flight
from jaxaudit.runtime.placement import Placement
from jaxaudit.runtime.processes import my_share, wait_for_all_processes
from jaxaudit.targets import Target
from jaxaudit_kernels.unit_memorization import (
    UnitStatistics,
    merge,
    no_items,
    observe,
    rest_mean,
    selectivity,
)

_MANIFEST = "manifest.json"
_ALL_UP_TO, _SHARE_OF_MORE = 20_000, 0.01
_READERS = 16


@dataclasses.dataclass(frozen=True)
class LocalizeConfig:
    """How units are measured.

    Attributes:
      subsets: shares of the source, each in (0, 1]; a subset has as many pictures of each class, as far as
        there are, and contains the smaller ones. None: all of up to 20,000 pictures, 1% of more.
      seed: of the subsets, views, hidden tokens and noise.
      views: the views of a picture.
      timestep, mask_ratio: see `ActivationMeter`.
      placement: where batches of pictures, each with all its views, run; nothing of it changes a result
        beyond rounding.
      part_size: pictures that are lost when a run is killed, about.

    Raises:
      InputError: if a share is not in (0, 1].
    """

    subsets: tuple[float, ...] | None = None
    seed: int = 0
    views: Views = dataclasses.field(default_factory=Views)
    timestep: int | None = None
    mask_ratio: float | None = None
    placement: Placement = dataclasses.field(default_factory=lambda: Placement(batch_size=8))
    part_size: int = 512

    def __post_init__(self):
        for share in self.subsets or ():
            if not 0 < share <= 1:
                raise InputError(f"A subset of {share} of the pictures is not in (0, 1].")


def pool(first: UnitMap, second: UnitMap) -> UnitMap:
    """The map of the largest subsets of both together, as if they were one set of pictures; no ClassMem.

    Raises:
      InputError: if the units differ.
    """
    if first.maximum.shape != second.maximum.shape:
        raise InputError(f"Units {first.maximum.shape} and {second.maximum.shape} are not of one target.")
    offset = len(first.ids)
    both = merge(
        *(
            UnitStatistics(len(each.ids), each.maximum, each.argument + shift, each.mean * len(each.ids))
            for each, shift in ((first, 0), (second, offset))
        )
    )
    return UnitMap(
        first.stages,
        (1.0,),
        (both.count,),
        selectivity(both)[None],
        both.maximum,
        rest_mean(both).astype(np.float32),
        both.argument,
        None,
        None,
        (*first.ids, *second.ids),
        np.concatenate([first.labels, second.labels]),
    )


def localize(
    target: Target,
    source: Source,
    directory: str | os.PathLike,
    config: LocalizeConfig = LocalizeConfig(),
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> UnitMap:
    """Measures UnitMem of every hidden unit over (subsets of) the pictures a target was trained on.

    An earlier run of the same request in `directory` is continued. With several processes
    (`jaxaudit.runtime.processes.initialize_processes`) each takes its share of the classes.

    Args:
      target: what is measured.
      source: pictures it was trained on; for a control, pictures it was not.
      directory: created if missing.
      config: see `LocalizeConfig`.
      progress: called with (pictures seen by this process, in all).

    Raises:
      InputError: if options do not fit the target, pictures cannot be used, labels do not mean the target's
        classes, a subset holds fewer than two pictures, or the folder holds another request.
    """
    directory = Path(directory)
    meter = ActivationMeter(
        target,
        config.views,
        timestep=config.timestep,
        mask_ratio=config.mask_ratio,
        key=jax.random.key(config.seed),
        mesh=config.placement.mesh(),
        parallelism=config.placement.parallelism,
    )
    source = _labelled(resolve_labels(source, target.num_classes))
    shares = tuple(sorted(set(config.subsets or (_default_share(source),))))
    rows, tiers = _choose(source, shares, config.seed)
    chosen = source.take(rows.tolist())
    usable = scan(chosen, config.views.canvas(target.preprocessing)).usable
    chosen, tiers = chosen.take(np.flatnonzero(usable).tolist()), tiers[usable]
    sizes = tuple(int(np.sum(tiers <= tier)) for tier in range(len(shares)))
    if min(sizes) < 2:
        raise InputError(
            f"{shares[0]:g} of the {len(source)} pictures of {source.spec} are {sizes[0]}; UnitMem compares "
            "a picture with others, so take a larger subset."
        )
    _claim(directory, _request(target, chosen, shares, config))
    wait_for_all_processes("localize: request")
    if not (directory / FILE).exists():
        states = _measure(meter, chosen, tiers, len(shares), directory, config, progress)
        if jax.process_index() == 0:
            _result(states, meter, chosen, shares, sizes).save(directory)
            for path in directory.glob("state-*.npz"):
                path.unlink()
        wait_for_all_processes("localize: result")
    progress(len(chosen), len(chosen))
    return UnitMap.load(directory)


def _labelled(source: Source) -> Source:
    """The source with its labels at hand; where only pictures tell, all of them are read."""
    if source.labels is not None:
        return source
    with ThreadPoolExecutor(_READERS) as pool:
        labels = list(pool.map(lambda index: source.load(index).label, range(len(source))))
    return dataclasses.replace(source, labels=np.asarray(labels, np.int32))


def _default_share(source: Source) -> float:
    return 1.0 if len(source) <= _ALL_UP_TO else _SHARE_OF_MORE


def _choose(
    source: Source, shares: Sequence[float], seed: int
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """The rows of the largest subset, by class, and the smallest subset that each of them is in.

    Every subset takes the same number of pictures of each class, or all there are, in an order of its own by
    the sha256 of seed and id.
    """
    digests = [hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest() for sample_id in source.ids]
    by_class = [
        np.array(sorted(np.flatnonzero(source.labels == label), key=digests.__getitem__))
        for label in np.unique(source.labels)
    ]
    counts = np.array([len(rows) for rows in by_class])
    limits = [_equal_share(counts, max(1, round(share * len(source)))) for share in shares]
    tiers = [np.searchsorted(limits, np.arange(len(rows)), side="right") for rows in by_class]
    kept = [tier < len(shares) for tier in tiers]
    return (
        np.concatenate([rows[keep] for rows, keep in zip(by_class, kept, strict=True)]),
        np.concatenate([tier[keep] for tier, keep in zip(tiers, kept, strict=True)]),
    )


def _equal_share(counts: Int[np.ndarray, " C"], total: int) -> int:
    """The number of pictures per class with which there are `total` or more, from classes of `counts`."""
    per_class = np.arange(1, counts.max() + 1)
    sums = np.minimum(counts[None], per_class[:, None]).sum(1)
    return int(per_class[np.searchsorted(sums, total)])


def _request(
    target: Target, chosen: Source, shares: tuple[float, ...], config: LocalizeConfig
) -> dict[str, Any]:
    """Everything a result depends on."""
    return {
        "target": {
            "name": target.name,
            "family": target.family,
            "fingerprint": target.provenance.get("fingerprint"),
            "num_params": target.num_params,
        },
        "source": chosen.spec,
        "ids_sha256": chosen.fingerprint,
        "subsets": list(shares),
        "seed": config.seed,
        "views": dataclasses.asdict(config.views),
        "timestep": config.timestep,
        "mask_ratio": config.mask_ratio,
        "precision": precision(target),
        "part_size": config.part_size,
        "versions": {
            name: importlib.metadata.version(name) for name in ("jaxaudit", "jax", "numpy", "pillow")
        },
    }


def _claim(directory: Path, request: dict[str, Any]) -> None:
    """Makes the folder one of this request, or finds that it is."""
    path = directory / _MANIFEST
    if path.exists():
        try:
            found = json.loads(path.read_text())
        except ValueError:
            raise InputError(f"{path} is not a manifest of a localisation.") from None
        if differing := [name for name in request if found.get(name) != request[name]]:
            raise InputError(
                f"{directory} holds a localisation with another {', '.join(differing)}; repeat that "
                "request or choose another folder."
            )
    elif jax.process_index() == 0:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(request, indent=1).encode())


@dataclasses.dataclass
class _State:
    """What a process has seen: per subset the statistics over pictures and over classes, and its parts."""

    pictures: list[UnitStatistics]
    classes: list[UnitStatistics]
    parts: list[int]

    @classmethod
    def empty(cls, shape: Sequence[int], num_subsets: int) -> _State:
        return cls([no_items(shape)] * num_subsets, [no_items(shape)] * num_subsets, [])

    def add_class(self, label: int, tiers: Sequence[UnitStatistics]) -> None:
        """Adds a whole class, given the statistics of its pictures by the smallest subset they are in."""
        so_far = no_items(tiers[0].total.shape)
        for subset, tier in enumerate(tiers):
            so_far = merge(so_far, tier)
            if so_far.count:
                self.pictures[subset] = merge(self.pictures[subset], so_far)
                self.classes[subset] = observe(
                    self.classes[subset], so_far.mean[None].astype(np.float32), np.array([label])
                )

    def save(self, path: Path) -> None:
        arrays = {"parts": np.array(self.parts, np.int64)}
        for kind in ("pictures", "classes"):
            for subset, statistics in enumerate(getattr(self, kind)):
                arrays |= {f"{kind}/{subset}/{name}": value for name, value in statistics._asdict().items()}
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path, num_subsets: int) -> _State:
        with np.load(path) as file:
            kinds = [
                [
                    UnitStatistics(
                        int(file[f"{kind}/{subset}/count"]),
                        *(file[f"{kind}/{subset}/{name}"] for name in UnitStatistics._fields[1:]),
                    )
                    for subset in range(num_subsets)
                ]
                for kind in ("pictures", "classes")
            ]
            return cls(*kinds, file["parts"].tolist())


def _measure(
    meter: ActivationMeter,
    chosen: Source,
    tiers: Int[np.ndarray, " N"],
    num_subsets: int,
    directory: Path,
    config: LocalizeConfig,
    progress: Callable[[int, int], None],
) -> list[_State]:
    """The states of all processes in the end."""
    path = directory / f"state-{jax.process_index()}.npz"
    found = {file: _State.load(file, num_subsets) for file in sorted(directory.glob("state-*.npz"))}
    finished = {part for state in found.values() for part in state.parts}
    wait_for_all_processes("localize: start")  # so that no process writes before all have read
    state = found.get(path) or _State.empty(meter.shape, num_subsets)
    parts = list(_parts(chosen.labels, config.part_size))
    mine = my_share([i for i in range(len(parts)) if i not in finished])
    earlier = sum(len(parts[i]) for i in state.parts)
    total, done = earlier + sum(len(parts[i]) for i in mine), earlier
    for part in mine:
        _measure_part(meter, chosen, parts[part], tiers, state, config.placement.batch_size, num_subsets)
        state.parts.append(part)
        state.save(path)
        done += len(parts[part])
        progress(done, total)
    wait_for_all_processes("localize: end")
    return [_State.load(file, num_subsets) for file in sorted(directory.glob("state-*.npz"))]


def _parts(labels: Int[np.ndarray, " N"], part_size: int) -> Iterator[range]:
    """Successive whole classes, at least `part_size` pictures at a time but for the last part."""
    ends = [*(np.flatnonzero(np.diff(labels)) + 1).tolist(), len(labels)]
    start = 0
    for end in ends:
        if end - start >= part_size or end == len(labels):
            yield range(start, end)
            start = end


def _measure_part(
    meter: ActivationMeter,
    chosen: Source,
    part: range,
    tiers: Int[np.ndarray, " N"],
    state: _State,
    batch_size: int,
    num_subsets: int,
) -> None:
    """Adds the classes of a part to the state."""
    label, of_class = chosen.labels[part.start], [no_items(meter.shape)] * num_subsets
    for rows, means in _means(meter, chosen, part, batch_size):
        for (run_label, tier), run in itertools.groupby(rows, lambda row: (chosen.labels[row], tiers[row])):
            if run_label != label:
                state.add_class(int(label), of_class)
                label, of_class = run_label, [no_items(meter.shape)] * num_subsets
            run = np.array(list(run))
            of_class[tier] = observe(of_class[tier], means[run - rows.start], run)
    state.add_class(int(label), of_class)


def _means(
    meter: ActivationMeter, chosen: Source, part: range, batch_size: int
) -> Iterator[tuple[range, Float[np.ndarray, "B T K F"]]]:
    """The mean activations on the pictures of a part, in order."""

    def submit(batch: PictureBatch) -> Pending:
        return meter.submit(batch.images, batch.labels, ids=batch.ids, padded_size=batch_size)

    first = part.start
    canvas = meter.views.canvas(meter.target.preprocessing)
    for batch, means in one_in_flight(batches(chosen, part, canvas, batch_size), submit):
        rows = range(first, first + len(batch.ids))
        yield rows, means
        first = rows.stop


def _result(
    states: Sequence[_State],
    meter: ActivationMeter,
    chosen: Source,
    shares: tuple[float, ...],
    sizes: tuple[int, ...],
) -> UnitMap:
    def over_processes(kind: str, subset: int) -> UnitStatistics:
        total = no_items(meter.shape)
        for state in states:
            total = merge(total, getattr(state, kind)[subset])
        return total

    pictures = [over_processes("pictures", subset) for subset in range(len(shares))]
    classes = over_processes("classes", len(shares) - 1)
    several = classes.count > 1
    return UnitMap(
        meter.stages,
        shares,
        sizes,
        np.stack([selectivity(each) for each in pictures]),
        pictures[-1].maximum,
        rest_mean(pictures[-1]).astype(np.float32),
        pictures[-1].argument,
        selectivity(classes) if several else None,
        classes.argument if several else None,
        tuple(chosen.ids),
        chosen.labels,
    )
