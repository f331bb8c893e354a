"""What was found of every picture, as a file."""

from __future__ import annotations

import csv
import io

from jaxaudit.audits.provenance.measure import Measured
from jaxaudit.evidence import write_atomically
from jaxaudit.paths import Location, as_place, make_folder
from jaxaudit.results import Provenance


def write_origins(found: Provenance, measured: Measured, directory: Location) -> None:
    """Writes origins.csv: id, origin, both p-values and all scores, a line per picture of P."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["sample_id", "origin", "p_generated", "p_member", *measured.generated, "member"])
    columns = (
        found.generated.ids,
        found.origins,
        found.generated.p_values,
        found.members.p_values,
        *(scores.tolist() for scores in measured.generated.values()),
        measured.member.tolist() if measured.member is not None else (),
    )
    writer.writerows(zip(*columns, strict=True))
    write_atomically(make_folder(as_place(directory)) / "origins.csv", buffer.getvalue().encode())
