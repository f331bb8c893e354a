"""The tables of an extraction attack as files: what was completed, and what of it was extracted."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jaxaudit.audits.extraction.completion import Completions
from jaxaudit.audits.extraction.pipeline import Extraction
from jaxaudit.audits.extraction.regeneration import ImageProbabilities
from jaxaudit.evidence import write_atomically
from jaxaudit.paths import Location, as_place, make_folder


def write_tables(found: Extraction, directory: Location) -> None:
    """Writes candidates.parquet, validation.parquet if there is one, extracted.parquet and .csv."""
    directory = make_folder(as_place(directory))
    for name, completions in (("candidates", found.candidates), ("validation", found.validation)):
        if completions is not None:
            write_atomically(directory / f"{name}.parquet", _parquet(completed_table(completions)))
    write_atomically(directory / "extracted.parquet", _parquet(found.extracted))
    write_atomically(directory / "extracted.csv", _csv(found.extracted))


def write_probabilities(found: Mapping[str, ImageProbabilities], directory: Location) -> None:
    """Writes probabilities.parquet: side, id and log p after every prefix, in nats, of every image."""
    columns: dict[str, np.ndarray] = {
        "side": np.repeat(list(found), [len(each.sample_ids) for each in found.values()]),
        "sample_id": np.concatenate([each.sample_ids for each in found.values()]),
    }
    for prefix in next(iter(found.values())).log_p:
        columns[f"log_p/{prefix}"] = np.concatenate([each.log_p[prefix] for each in found.values()])
    write_atomically(make_folder(as_place(directory)) / "probabilities.parquet", _parquet(columns))


def completed_table(completions: Completions) -> dict[str, np.ndarray]:
    """{column: [N]} of everything that was completed: id, class, digest, scores, similarity per prefix."""
    ranked = completions.candidates
    columns = {
        "sample_id": ranked.sample_ids,
        "label": ranked.labels,
        "digest": ranked.digests,
        **ranked.scores,
    }
    for column, prefix in enumerate(completions.prefixes):
        columns[f"similarity/{prefix}"] = completions.similarity[:, column]
        columns[f"nearest_other/{prefix}"] = completions.nearest_other[:, column]
        columns[f"nearest_other_id/{prefix}"] = completions.nearest_ids[:, column]
    return columns


def _parquet(columns: Mapping[str, np.ndarray]) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), sink)
    return sink.getvalue()


def _csv(columns: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
    return buffer.getvalue().encode()
