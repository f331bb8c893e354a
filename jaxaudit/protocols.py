"""Which rules an audit follows. Protocols and procedures are objects that are asked, never compared by name.

A protocol says what counts as a score, on which samples choices are made, which test is applied and what may
be concluded. A procedure says how copyrighted data identification (CDI) holds samples out and turns their
scores into a p-value. Programs map their flags to these objects once; files keep the names.

The published ones are for comparison with published tables. Sources: Kowalczuk et al., ICML 2025, arXiv
2502.02514 (protocol); Dubiński et al., CVPR 2025, arXiv 2411.12858 (procedure).
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from jaxaudit.errors import unknown_name

Criterion = Literal["power", "mean_p"]
"""When a number of samples is enough: so many draws reject, or the mean p-value is at most alpha."""


@dataclasses.dataclass(frozen=True)
class Procedure:
    """How CDI holds samples out, and how the scores of these become a p-value.

    Attributes:
      name: of flags and files.
      halves: one half trains and the other is tested; else 5 folds, every sample being scored once.
      refitted: p is the rank of t among relabellings of the samples, the scorers fitted anew for each.
      permutations: relabellings unless it is said otherwise; 0 where p is Student's alone.
      two_sided: whether the test also rejects where U scores higher; then the order of the means counts too.
      equal_sizes: whether it takes only as many samples of U as of P.
      criterion: when a number of samples is enough.
      explanation: what is done, in two sentences.
      warning: why not to rely on the result; None where p <= alpha has probability at most alpha.
    """

    name: str
    halves: bool
    refitted: bool
    permutations: int
    two_sided: bool
    equal_sizes: bool
    criterion: Criterion
    explanation: str
    warning: str | None = None

    @property
    def drawn_as(self) -> Procedure:
        """The procedure by which many draws are tested: refitting for each of thousands takes too long."""
        return SPLIT if self.refitted else self


SPLIT = Procedure(
    name="split",
    halves=True,
    refitted=False,
    permutations=9_999,
    two_sided=False,
    equal_sizes=False,
    criterion="power",
    explanation=(
        "Half of each set trains it, the other halves are compared by Welch's t-test and by randomly "
        "exchanging them; the larger of the two p-values counts."
    ),
)
PERMUTATION = Procedure(
    name="permutation",
    halves=False,
    refitted=True,
    permutations=999,
    two_sided=False,
    equal_sizes=False,
    criterion="power",
    explanation=(
        "Every fifth of the images is scored by what was learned from the other four. The p-value is the "
        "rank of the difference among those after randomly exchanging the two sets, everything learned anew "
        "each time."
    ),
)
PUBLISHED_FOLDS = Procedure(
    name="paper",
    halves=False,
    refitted=False,
    permutations=0,
    two_sided=True,
    equal_sizes=True,
    criterion="mean_p",
    explanation=(
        "Every fifth of the images is scored by what was learned from the other four, and all scores are "
        "compared by a two-sided t-test as if they were independent."
    ),
    warning=(
        "The published 5-fold test is not calibrated, because its scores depend on each other: at alpha = 1% "
        "it gave p <= alpha in 3% to 9% of simulated data sets in which there was nothing to find, and "
        "accused in 1% to 3%. Use 'split' or 'permutation' for a verdict."
    ),
)
PROCEDURES = {procedure.name: procedure for procedure in (SPLIT, PERMUTATION, PUBLISHED_FOLDS)}
VALID_PROCEDURES = tuple(name for name, procedure in PROCEDURES.items() if procedure.warning is None)
"""Names of those that a verdict may rest on."""
DRAWN_PROCEDURES = tuple(name for name, procedure in PROCEDURES.items() if procedure.drawn_as is procedure)
"""Names of those that are quick enough for studies of many draws."""


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The rules of an audit.

    Attributes:
      name: of flags and files. title: in words.
      published_scores: whether the candidates are the scores of published code, where it departs from the
        literature; else those of the literature.
      equal_sizes: whether as many nonmembers as members are taken.
      held_out_choice: whether the best score and thresholds are chosen on samples set aside; else on those
        reported on, and metrics are those of the published code on random subsets.
      lenient: whether NaN becomes 0 and a constant score adds 0, with a note; else both are errors.
      two_sided: whether the test also rejects where U scores higher; then the order of the means counts too,
        and there is no permutation test beside it.
      paired_draws: whether a draw takes the same rows of P and of U.
      criterion: when a number of samples is enough.
      procedure: of CDI; None leaves the choice among the valid ones.
      statement: in place of a verdict; None where gate and test give one.
      problems: known ones of the protocol.
    """

    name: str
    title: str
    published_scores: bool
    equal_sizes: bool
    held_out_choice: bool
    lenient: bool
    two_sided: bool
    paired_draws: bool
    criterion: Criterion
    procedure: Procedure | None = None
    statement: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def gives_verdict(self) -> bool:
        """Whether the outcome is a verdict: gate and omnibus test, with U against U beside it."""
        return self.statement is None

    def takes(self, reproduces_published_code: bool) -> bool:
        """Whether a score is a candidate, given whether it reproduces published code."""
        return reproduces_published_code == self.published_scores


DEFAULT = Protocol(
    name="default",
    title="default protocol",
    published_scores=False,
    equal_sizes=False,
    held_out_choice=True,
    lenient=False,
    two_sided=False,
    paired_draws=False,
    criterion="power",
)
PUBLISHED = Protocol(
    name="paper",
    title="published procedure",
    published_scores=True,
    equal_sizes=True,
    held_out_choice=False,
    lenient=True,
    two_sided=True,
    paired_draws=True,
    criterion="mean_p",
    procedure=PUBLISHED_FOLDS,
    statement=(
        "This reproduces the published procedure, for comparison with published tables. It is no verdict: "
        "the best score is picked on the data it is reported on, the test is two-sided, and no blind "
        "gate has to be passed."
    ),
    problems=(
        "The best score is picked on the very data it is reported on, which flatters it.",
        "The test is two-sided: half of its significance level is spent on members that score lower.",
        "Figures after ± are the spread over random halves of one data set and no confidence intervals.",
        "The number of images needed is where the mean p-value falls below α, without an interval.",
    ),
)
PROTOCOLS = {protocol.name: protocol for protocol in (DEFAULT, PUBLISHED)}


def get_protocol(name: Protocol | str) -> Protocol:
    """The protocol of that name; a protocol is itself.

    Raises:
      InputError: if there is none.
    """
    if isinstance(name, Protocol):
        return name
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def get_procedure(name: Procedure | str) -> Procedure:
    """The procedure of CDI of that name; a procedure is itself.

    Raises:
      InputError: if there is none.
    """
    if isinstance(name, Procedure):
        return name
    if name not in PROCEDURES:
        raise unknown_name("procedure", name, PROCEDURES)
    return PROCEDURES[name]
