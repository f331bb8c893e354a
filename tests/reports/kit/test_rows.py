"""Names in tables that other programs read."""

import csv
import io

import pytest

from jaxaudit.reports.kit.rows import csv_table, latex_table


@pytest.mark.parametrize("name", ["=1+1", "+1", "-x", "@SUM(A1)", '=HYPERLINK("http://a")'])
def test_text_is_no_formula(name):
    _, line = csv.reader(io.StringIO(csv_table([{"target": name, "auc": -0.5}]), newline=""))
    assert line == [f"'{name}", "-0.5"]


def test_a_name_stays_in_its_line():
    lines = csv_table([{"target": "\r=1\n\t,x", "auc": 1}]).splitlines()
    assert lines == ["target,auc", r'"\r=1\n\t,x",1']


def test_latex_reads_names_as_they_are():
    table = latex_table(["target"], [[r"a\b^c~d_e%f$g#h{i}j&k"], ["line\nbreak"], ["0.5 ± 0.1"]])
    assert table.splitlines()[4] == (
        r"a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d\_e\%f\$g\#h\{i\}j\&k \\"
    )
    assert table.splitlines()[5:7] == [r"line\textbackslash{}nbreak \\", r"0.5 $\pm$ 0.1 \\"]
