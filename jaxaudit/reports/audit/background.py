"""The sections of an audit's page around the findings: what was tested, what it does not show, sources."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jaxaudit.reports.audit import wording
from jaxaudit.reports.audit.decision import overturned
from jaxaudit.reports.kit import formats
from jaxaudit.reports.kit.markup import (
    Html,
    bullets,
    code,
    definitions,
    details,
    element,
    join,
    paragraph,
    section,
    table,
)
from jaxaudit.reports.kit.skipped import copies_list, skipped_list
from jaxaudit.results import AuditResults, Collected, ImageSet, Planned, TargetFacts

_PAPERS = {
    "Membership and dataset inference on image autoregressive models; the published procedure": (
        "Kowalczuk, Dubiński, Boenisch, Dziedzic: Privacy Attacks on Image AutoRegressive Models. ICML 2025, "
        "arXiv 2502.02514"
    ),
    "True-positive rate at low false-positive rates": (
        "Carlini, Chien, Nasr, Song, Terzis, Tramèr: Membership Inference Attacks From First Principles. "
        "IEEE S&P 2022, arXiv 2112.03570"
    ),
    "Dataset inference": (
        "Maini, Yaghini, Papernot: Dataset Inference: Ownership Resolution in Machine Learning. ICLR 2021, "
        "arXiv 2104.10706"
    ),
}
_CDI = (
    "Dubiński, Kowalczuk, Boenisch, Dziedzic: CDI: Copyrighted Data Identification in Diffusion Models. "
    "CVPR 2025, arXiv 2411.12858"
)
_ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


def tested(results: AuditResults) -> Html:
    """The target, the two sets and what was recorded of the run."""
    target, collected = results.target, results.collected

    def described(images: ImageSet) -> Html:
        return join(
            [
                f"{wording.counted(images)} of ",
                code(images.source),
                element("br"),
                element("span", "sha256 of their names ", code(images.ids_sha256), class_="small"),
                *(
                    [
                        element("br"),
                        element("span", "and of their pixels ", code(images.pixels_sha256), class_="small"),
                    ]
                    if images.pixels_sha256
                    else []
                ),
            ]
        )

    return section(
        "tested",
        "What was tested",
        paragraph(
            "An image generator (the target) was shown two sets of images: ",
            element("b", "P"),
            ", the images in question, called members, and ",
            element("b", "U"),
            ", comparable images it has not been trained on, called nonmembers. For every image, each "
            "attack turns the target's answers into one number, the score: higher means more likely a "
            "member.",
        ),
        definitions(
            [
                ("Target", code(target.name)),
                (
                    "Model",
                    f"family {target.family}, {formats.count(target.num_params)} parameters, "
                    f"{formats.count(target.num_classes)} classes",
                ),
                ("Fingerprint of its weights", code(str(target.fingerprint))),
                ("P, members", described(results.members)),
                ("U, nonmembers", described(results.nonmembers)),
                *([("Known members", described(results.known))] if results.known else []),
                *([("Reference", _reference(results.reference))] if results.reference else []),
                *([("Plan", _plan(results.plan))] if results.plan else []),
                ("Scores", f"{formats.count(len(results.membership.per_score))} per image"),
            ]
        ),
        skipped_list(results.skipped),
        copies_list(results.copies),
        details(
            "Origin of the weights, preprocessing, versions and machine",
            definitions(
                [
                    *_flat(results.provenance, "weights"),
                    ("preprocessing", _listed(collected.preprocessing)),
                    ("precision", collected.precision),
                    ("seed of the audit, of the statistics", f"{collected.seed}, {results.seed}"),
                    ("versions", _listed(collected.versions)),
                    ("commit", code(str(collected.git_commit))),
                    ("machine", _listed(collected.machine)),
                    ("work per image", _work(collected)),
                ]
            ),
        ),
    )


def _reference(reference: TargetFacts) -> Html:
    return join([code(reference.name), ", fingerprint ", code(str(reference.fingerprint))])


def _plan(plan: Planned) -> Html:
    return join(["written ", plan.written, ", fingerprint ", code(plan.fingerprint)])


def _work(collected: Collected) -> str:
    words = [] if collected.gflop_per_image is None else [f"{collected.gflop_per_image:.3g} GFLOP"]
    if evaluations := collected.evaluations_per_image:
        words.append(f"{formats.count(evaluations['planned']['passes'])} passes through the network")
    return ", ".join(words) or "not recorded"


def limits() -> Html:
    """What is assumed, and what does not follow."""
    return section(
        "limits",
        "What this does not show",
        bullets(
            [
                "It is a statement about the set as a whole. It does not tell which of its images were "
                "used, nor that all of them were.",
                "A p-value is not the probability that the model was or was not trained on the images. It "
                "says how often chance alone would produce a difference at least this large.",
                "No evidence is not evidence of absence.",
                "That the nonmembers were not trained on, and that P and U come from one distribution, is "
                "asserted by whoever chose the two sets. What the gate and the adjustment do not see, they "
                "cannot account for.",
                "Images must be independent of each other, but for copies, which were looked for, and those "
                "that were declared to belong together: such images count as one. Other series within a set "
                "make p-values and intervals too small.",
                "The significance level holds for one question asked once. Whoever audits many sets, or "
                "repeats an audit until it rejects, must correct for it.",
                "Training on images is not the same as reproducing them, and neither is a legal conclusion: "
                "licences, exceptions and permissions are outside this report.",
            ]
        ),
        overturned(),
    )


def reproduction(results: AuditResults, scoring: tuple[str, Mapping[str, str]] | None = None) -> Html:
    """The commands that give the same numbers.

    Args:
      results: of the audit.
      scoring: the program that scored the images and the flags it alone has; None for `audit`.
    """
    collected = results.collected
    program, own = scoring or ("audit", _flags_of_audit(results))
    plan = {"plan": "PLAN"} if results.plan else {}
    measured = {
        "target": results.target.name,
        **own,
        "seed": str(collected.seed),
        "precision": collected.precision,
        "access": collected.access,
        **({"reference": results.reference.name} if results.reference else {}),
        **plan,
        "out": "DIR",
    }
    assess = {
        "evidence": "DIR/evidence",
        **({"reference_evidence": "DIR/reference"} if results.reference else {}),
        **({"known_evidence": "DIR/known"} if results.known else {}),
        "protocol": results.protocol,
        "alpha": f"{results.alpha!r}",
        "power": f"{results.power!r}",
        "procedure": results.procedure,
        **({"test_seed": str(results.seed)} if results.seed_given else {}),
        **plan,
    }
    commit = collected.git_commit
    return section(
        "reproduction",
        "How to reproduce",
        paragraph(
            "Score the images again (DIR is any folder; batch size and devices change nothing beyond "
            "rounding):"
        ),
        element("pre", _command(program, measured)),
        paragraph(
            "Repeat the statistics from the scores alone, without the model"
            + (f" (PLAN is the file of the plan {results.plan.fingerprint[:16]}):" if results.plan else ":")
        ),
        element("pre", _command("verdict", assess)),
        paragraph(
            f"jaxaudit {collected.versions['jaxaudit']}" + (f", commit {commit}" if commit else ""),
            class_="small",
        ),
    )


def _flags_of_audit(results: AuditResults) -> dict[str, str]:
    collected = results.collected
    return {
        "members": results.members.source,
        "nonmembers": results.nonmembers.source,
        "num_samples": str(collected.num_samples),
        "shard_size": str(collected.shard_size),
        "scores": ",".join(collected.scores),
        **{name: str(value) for name, value in collected.options.items()},
    }


def sources(results: AuditResults) -> Html:
    """Where the scores and the procedures come from."""
    info = {_without_view(name): facts for name, facts in results.scores.items()}
    kinds: dict[tuple[str, str, str], list[str]] = {}
    for name in dict.fromkeys(_without_view(name) for name in results.membership.per_score):
        if name in info:
            facts = info[name]
            kinds.setdefault((facts.description, facts.access, facts.source), []).append(name)
    rows = [
        [_abbreviated(names), description, access, _cite(source)]
        for (description, access, source), names in kinds.items()
    ]
    return section(
        "sources",
        "Sources",
        definitions((what, _cite(paper)) for what, paper in _papers(results).items()),
        details(
            "What each score is, and who proposed it",
            paragraph(
                "Gray-box scores need the model's outputs for a given image, white-box scores its weights.",
                class_="small",
            ),
            table(["score", "what it is", "access", "source"], rows),
        ),
    )


def _papers(results: AuditResults) -> dict[str, str]:
    """The papers behind the procedures, first that of the kind of model."""
    if results.inference == "sum":
        return _PAPERS
    _, *others = _PAPERS.items()
    return dict([("Copyrighted data identification; the published procedure", _CDI), *others])


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """(path, value) of every leaf of nested dicts."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}: {key}")
    else:
        yield name, str(value)


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _command(program: str, flags: Mapping[str, str]) -> str:
    words = [f"--{name}={shlex.quote(value)}" for name, value in flags.items()]
    return " \\\n  ".join([f"jaxaudit {program}", *words])


def _cite(citation: str) -> Html:
    """The citation, its arXiv number as a link."""
    parts = _ARXIV.split(citation)
    return join(
        element("a", f"arXiv {part}", href=f"https://arxiv.org/abs/{part}") if number % 2 else part
        for number, part in enumerate(parts)
    )


def _abbreviated(names: Sequence[str]) -> Html:
    """The names, or the first and the last of many."""
    if len(names) <= 2:
        return join(map(code, names), separator=", ")
    return join([code(names[0]), " … ", code(names[-1]), f" ({len(names)})"])


def _without_view(name: str) -> str:
    return name.partition("/")[2] or name
