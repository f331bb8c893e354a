import re
from html.parser import HTMLParser

import pytest

from jaxaudit.protocols import PUBLISHED
from jaxaudit.reports import render_html
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import Html, element, join
from jaxaudit.results import replace
from tests.reports.synthetic import ATTACKS, HOSTILE, make_results

VOID = {"meta", "br", "img"}
VARIANTS = {
    "trained_on": {},
    "no_evidence": {"effect": 0.0},
    "contradicted": {"effect": -0.5},
    "not_testable": {"gate_shift": 1.0},
    "paper": {"protocol": PUBLISHED},
    "small": {"samples": 90},
}


class Page(HTMLParser):
    """Text, links and ids of a page; fails where tags are not balanced."""

    def __init__(self, source):
        super().__init__()
        self.open, self.tags, self.ids, self.references, self.hidden = [], [], [], [], []
        self.rows, self.text = [], ""
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                self.references.append((tag, value))
            if name.startswith("on"):
                self.hidden.append((tag, name))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, label):
        return next(row[1:] for row in self.rows if row and row[0] == label)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_well_formed_and_self_contained(variant):
    source = render_html(make_results(**VARIANTS[variant]))
    page = Page(source)
    assert len(set(page.ids)) == len(page.ids)
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(page.tags)
    assert not page.hidden
    for tag, target in page.references:
        assert target.startswith("#") or (tag == "a" and target.startswith("https://arxiv.org/abs/"))
        if target.startswith("#"):
            assert target[1:] in page.ids
    assert not re.search(r"url\((?!#)|@import", source)
    for name in re.findall(r"url\(#([^)]*)\)", source):
        assert name in page.ids


def test_the_same_results_give_the_same_bytes_without_a_date():
    source = render_html(make_results())
    assert source == render_html(make_results())
    assert not re.search(r"20\d\d-\d\d-\d\d", source)


@pytest.mark.parametrize("variant", ["trained_on", "no_evidence", "contradicted", "not_testable", "paper"])
def test_the_verdict_comes_first_with_its_sentence(variant):
    results = make_results(**VARIANTS[variant])
    page = Page(render_html(results))
    assert results.finding.status == variant
    assert results.finding.sentence in page.text
    assert page.text.index(results.finding.sentence) < page.text.index("What was tested")


def test_membership_numbers_are_those_of_the_results():
    results = make_results()
    page = Page(render_html(results))
    per_score = results.membership.per_score
    best = results.membership.groups.values()
    assert page.row("best score") == list(best)
    assert page.row("AUC") == [formats.spread(per_score[name].auc, formats.area) for name in best]
    for name, metrics in per_score.items():
        assert page.row(name) == [
            formats.spread(metrics.tpr_at_fpr[0.01], formats.percent),
            "too few nonmembers",
            formats.spread(metrics.auc, formats.area),
            formats.spread(metrics.balanced_accuracy, formats.percent),
        ]


def test_all_scores_are_listed_best_first():
    results = make_results(effect=2.5)
    page = Page(render_html(results))
    per_score = results.membership.per_score
    names = [row[0] for row in page.rows if row and row[0] in per_score]
    strengths = [(per_score[name].tpr_at_fpr[0.01].estimate, per_score[name].auc.estimate) for name in names]
    assert strengths == sorted(strengths, reverse=True)
    assert set(names) == set(per_score)


def test_dataset_inference_numbers_are_those_of_the_results():
    results = make_results()
    page = Page(render_html(results))
    tests, curves = results.dataset_inference.values(), results.power_curves.values()
    assert page.row("p-value") == [formats.p_value(test.p_value) for test in tests]
    assert page.row("by Welch's test") == [formats.p_value(test.welch.p_value) for test in tests]
    assert page.row("images of P, of U") == ["600, 600"] * 2
    for cell, curve in zip(page.row("images needed"), curves, strict=True):
        size = curve.required
        high = size.high or f"more than {curve.points[-1].n}"
        assert cell.replace(",", "") == f"{size.estimate} ({size.low} to {high})"
    gate, control = results.gate, results.null_control
    assert f"classifier {formats.spread(gate.auc, formats.area)}" in page.text
    assert f"a shift of one feature by {formats.effect(gate.detectable_shift)} standard" in page.text
    for name, p in gate.p_values.items():
        assert page.row(name) == [formats.p_value(p)]
    rate = formats.spread(control.rejection_rate, formats.percent)
    assert f"{rate} of 1,000 random splits" in page.text


def test_the_target_and_both_sets_are_named():
    results = make_results()
    page = Page(render_html(results))
    for fact in (
        results.target.name,
        "1,234,567 parameters",
        results.target.fingerprint,
        "600 images of digits:members",
        results.members.ids_sha256,
        results.nonmembers.source,
        results.nonmembers.ids_sha256,
        results.collected.git_commit,
    ):
        assert fact in page.text


def test_the_commands_carry_the_flags_of_the_request():
    results = make_results()
    members = replace(results.members, source="folder:/my data[:9]")
    results = replace(results, seed=3, seed_given=True, alpha=0.05, members=members)
    page = Page(render_html(results))
    audit, verdict = (page.text.partition(f"jaxaudit {name} \\\n")[2] for name in ("audit", "verdict"))
    assert "--members='folder:/my data[:9]' \\" in audit
    assert "--nonmembers='digits:nonmembers?shuffle=3' \\" in audit
    assert "--scores=all \\" in audit
    assert "--seed=0 \\" in audit
    assert verdict.startswith("  --evidence=DIR/evidence \\\n  --protocol=default \\\n  --alpha=0.05")
    assert "--test_seed=3" in verdict
    assert "--test_seed" not in Page(render_html(replace(results, seed_given=False))).text


def test_every_score_is_explained_and_cited():
    results = make_results()
    page = Page(render_html(results))
    for name, description in ATTACKS.items():
        assert page.row(name)[:2] == [description, "gray-box"]
    targets = {target for tag, target in page.references if tag == "a"}
    assert "https://arxiv.org/abs/2404.02936" in targets
    assert "https://arxiv.org/abs/2502.02514" in targets


def test_scores_of_one_kind_share_a_row():
    results = make_results()
    for name, facts in results.scores.items():
        if "/min_k" in name:
            results.scores[name] = replace(facts, description="The lowest of all.")
    page = Page(render_html(results))
    assert page.row("min_k_10 … min_k_pp_20 (3)")[0] == "The lowest of all."


def test_a_failed_gate_is_said_beside_every_number():
    page = Page(render_html(make_results(gate_shift=1.0)))
    assert page.text.count("The blind gate found a difference") == 2
    assert "difference found" in page.text
    assert "Dataset inference was not carried out" in page.text
    assert "Images needed" not in page.text


def test_the_published_procedure_names_its_problems():
    page = Page(render_html(make_results(PUBLISHED)))
    assert "Known problems of the published procedure" in page.text
    assert "two-sided" in page.text
    assert page.row("AUC")[0].count("±") == 1
    assert "Known problems" not in Page(render_html(make_results())).text


def test_hostile_text_stays_text():
    results = make_results()
    results = replace(
        results,
        members=replace(results.members, source=HOSTILE),
        target=replace(results.target, name='"><script>alert(1)</script>'),
        finding=replace(results.finding, sentence="</blockquote><script>1</script> & more"),
    )
    results.provenance["licence"] = "<img src=x onerror=alert(1)>"
    for name, facts in results.scores.items():
        results.scores[name] = replace(facts, source="<a href='javascript:1'>x</a>, arXiv 2404.02936")
    name = results.membership.groups["diff"]
    results.membership.groups["diff"] = odd = "diff/<script>--></svg>"
    for part in (results.membership.per_score, results.membership.curves, results.histograms):
        part[odd] = part[name]
    page = Page(render_html(results))
    assert not {"script", "img"} & set(page.tags)
    assert not page.hidden
    assert all(target.startswith(("#", "https://arxiv.org/abs/")) for _, target in page.references)
    for text in (HOSTILE, results.finding.sentence, results.provenance["licence"], odd):
        assert text in page.text


@pytest.mark.parametrize("missing", ["power_curves", "null_control", "dataset_inference"])
def test_missing_parts_are_left_out(missing):
    results = replace(make_results(), **{missing: None})
    if missing == "dataset_inference":
        results = replace(results, power_curves=None)
    Page(render_html(results))


def test_markup_escapes_whatever_is_not_html():
    assert element("p", "<b>", Html("<b></b>"), title='"') == '<p title="&quot;">&lt;b&gt;<b></b></p>'
    assert join(["a", "&"], separator=", ") == "a, &amp;"
    assert element("details", open=True, hidden=False, id=None) == "<details open></details>"
