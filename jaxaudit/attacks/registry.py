"""The scores by name: how one is declared, found and computed.

A score is named `view/score` and holds one number per sample, **higher = more likely a member**: each
function turns its quantity once, at its source. A view is what of the model the score looks at; which views
there are depends on the kind of target (`VIEWS`): the one view of diffusion models has no name, and their
scores are named `score` alone. Adding a score is one decorated function:

    @score("loss", source=YEOM_2018)
    def loss(view: TokenStatistics) -> Float[Array, " B"]:
        "Mean log-probability of the tokens."
        return jnp.mean(view.log_prob, axis=-1)

registers `cond/loss` and `diff/loss`. A score declared with `published=True` computes what published code
does where that departs from the literature; its name gets the ending `_ref`. `ref=True` says that the two are
the same, and registers the function as both.

A *device* score is computed from arrays on the accelerator, inside the caller's jitted step. A *host* score
is computed from a device score and the tokens in NumPy, while the accelerator is already at the next batch. A
*fitted* score is a function of several features of a sample, whose weights are fitted to known members and
nonmembers afterwards (`jaxaudit.stats.fitted_scores`); the step computes its features.

Axes: B batch, L tokens, S scores.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Array, Float, Num

from jaxaudit.errors import InputError, unknown_name
from jaxaudit.targets import Kind

Access = Literal["gray-box", "white-box"]
Made = Literal["device", "host", "fitted"]
Fit = Literal["logistic", "mixture"]
Function = TypeVar("Function", bound=Callable[..., Any])
Inputs = Mapping[str, tuple[Any, ...]]
"""What a score's function takes in each of its views."""

VIEWS: dict[Kind, tuple[str, ...]] = {
    "discrete": ("cond", "diff"),
    "continuous": ("cond", "diff"),
    "diffusion": ("",),
}
"""The views a score of each kind has unless it says otherwise."""

MAIN_VIEW: dict[Kind, str] = {"discrete": "diff", "continuous": "cond", "diffusion": ""}
"""The view of the published attack, on which a verdict rests."""

INFERENCE: dict[Kind, Literal["sum", "cdi"]] = {"discrete": "sum", "continuous": "sum", "diffusion": "cdi"}
"""How the scores of a set become one test, as published: `dataset_inference` or `identify` of the stats."""


def full_name(view: str, name: str) -> str:
    """The name of a score in a view: "view/score", or "score" in the one without name."""
    return f"{view}/{name}" if view else name


def split_name(full_name: str) -> tuple[str, str]:
    """View and score of a name."""
    view, _, name = full_name.rpartition("/")
    return view, name


@dataclasses.dataclass(frozen=True)
class Score:
    """One named per-sample score, higher = more likely a member.

    Attributes:
      name: "view/score", or "score" for a kind with one view; of published scores with the ending `_ref`.
      base: the score as it was declared, without view and ending: the same for the literature's form of a
        score and the published one.
      kind: the kind of target it applies to.
      function: device: `(*inputs) -> [B]`. Host: `(base [..., B], tokens [B, L]) -> [..., B]`, in NumPy.
        Fitted: `(*inputs, tokens_per_step) -> {feature: [B]}`; the last is that of the target.
      inputs: what `function` takes. Device and fitted: keys of the mapping given to `ScorePlan.device`, e.g.
        "cond", or for diffusion models nodes of `jaxaudit.attacks.diffusion_graph`. Host: the name of the one
        device score it is made from.
      made: "device", "host" or "fitted".
      source: the paper that defines it.
      access: what of the model it needs, "gray-box" (its outputs) or "white-box" (its gradients).
      description: one line.
      published: whether it computes what published code does, and belongs with its tables; otherwise it is
        the literature's.
      on_request: whether it must be asked for by its name; no word or pattern includes it.
      fit: how a fitted score follows from its features, a name of `jaxaudit.stats.fitted_scores`.
    """

    name: str
    base: str
    kind: Kind
    function: Callable[..., Any]
    inputs: tuple[Any, ...]
    made: Made
    source: str
    access: Access
    description: str
    published: bool = False
    on_request: bool = False
    fit: Fit = "logistic"

    @property
    def view(self) -> str:
        """The part of the name before the slash, "" without one."""
        return split_name(self.name)[0]


_PUBLISHED_ENDING = "_ref"
_SCORES: dict[tuple[Kind, str], Score] = {}
_PAPER: dict[Kind, tuple[str, ...]] = {}
_INFERENCE: dict[Kind, tuple[str, ...]] = {}


def score(
    name: str,
    *,
    source: str,
    kind: Kind = "discrete",
    views: Inputs | Callable[..., Inputs] | None = None,
    grid: Mapping[str, Sequence[int]] | None = None,
    access: Access = "gray-box",
    published: bool = False,
    ref: bool = False,
    on_request: bool = False,
) -> Callable[[Function], Function]:
    """Declares a device score; the first line of the function's docstring describes it.

    Args:
      name: the part after the view; with a grid, a format string of its parameters ("min_k_{k}").
      source: citation.
      kind: the kind of target.
      views: {view: the inputs the function takes in it}, or a function of the grid's parameters that returns
        it; by default every view of the kind, by itself.
      grid: {keyword: its values}; one score for every combination. The function gets the keywords it has.
      access: what of the model the score needs.
      published: it computes what published code does, where that departs from the literature; see `Score`.
      ref: published code computes the same, so this is both the literature's score and the published one.
      on_request: see `Score`.

    Raises:
      ValueError: for a name that is taken, or a function without docstring.
    """
    inputs = views if views is not None else {view: (view,) for view in VIEWS[kind]}
    return functools.partial(
        _declare,
        name,
        inputs=inputs,
        grid=grid,
        forms=_forms(published, ref),
        kind=kind,
        source=source,
        access=access,
        on_request=on_request,
        made="device",
    )


def host_score(
    name: str,
    *,
    of: str,
    source: str,
    kind: Kind = "discrete",
    views: Sequence[str] | None = None,
    access: Access = "gray-box",
    published: bool = False,
    ref: bool = False,
) -> Callable[[Function], Function]:
    """Declares a host score made from the device score `of` (without view); default: all views of its kind.

    The function takes (base, tokens) in NumPy, tokens [B, L] or latents [B, L, D]. `base` is the device score
    [B], or several of them [S, B]: one call serves all views, so what depends on the tokens alone is computed
    once per sample.

    Raises:
      ValueError: for a name that is taken, or a function without docstring.
    """
    inputs = {view: (full_name(view, of),) for view in (views or VIEWS[kind])}
    return functools.partial(
        _declare,
        name,
        inputs=inputs,
        grid=None,
        forms=_forms(published, ref),
        kind=kind,
        source=source,
        access=access,
        made="host",
    )


def fitted_score(
    name: str,
    *,
    source: str,
    views: Inputs,
    kind: Kind = "discrete",
    access: Access = "gray-box",
    on_request: bool = False,
    fit: Fit = "logistic",
) -> Callable[[Function], Function]:
    """Declares a fitted score by the function that computes its features.

    The function is `(*inputs, tokens_per_step) -> {feature: [B]}`; `fit` is that of `Score`, other arguments
    and errors are those of `score`.
    """
    return functools.partial(
        _declare,
        name,
        inputs=views,
        grid=None,
        forms=(False,),
        kind=kind,
        source=source,
        access=access,
        on_request=on_request,
        fit=fit,
        made="fitted",
    )


def _declare(
    name: str,
    function: Function,
    *,
    inputs: Inputs | Callable[..., Inputs],
    grid: Mapping[str, Sequence[int]] | None,
    forms: Sequence[bool],
    **facts: Any,
) -> Function:
    description = (inspect.getdoc(function) or "").partition("\n")[0]
    if not description:
        raise ValueError(f"Score {name!r} has no docstring to describe it.")
    grid = grid or {}
    keywords = inspect.signature(function).parameters if grid else {}
    for values in itertools.product(*grid.values()):
        parameters = dict(zip(grid, values, strict=True))
        own = {keyword: value for keyword, value in parameters.items() if keyword in keywords}
        bound = functools.partial(function, **own) if own else function
        views = inputs(**parameters) if callable(inputs) else inputs
        base = name.format(**parameters)
        for published, (view, taken) in itertools.product(forms, views.items()):
            key = facts["kind"], full_name(view, base + _PUBLISHED_ENDING * published)
            if key in _SCORES:
                raise ValueError(f"There already is a score {key[1]!r}.")
            own_facts = {"base": base, "published": published, "description": description, **facts}
            _SCORES[key] = Score(key[1], function=bound, inputs=taken, **own_facts)
    return function


def _forms(published: bool, ref: bool) -> tuple[bool, ...]:
    """Whether the scores that a declaration makes are published ones."""
    if published and ref:
        raise ValueError("published=True is that form alone, ref=True is both: say one of them.")
    return (False, True) if ref else (published,)


def declare_paper_set(kind: Kind, names: Sequence[str], *, inference: Sequence[str] | None = None) -> None:
    """Makes `names`, in this order, the scores of `kind` that the word "paper" stands for.

    `inference` are those that entered the published dataset inference (None: all).
    """
    _PAPER[kind] = tuple(names)
    _INFERENCE[kind] = tuple(names if inference is None else inference)


def inference_set(kind: Kind) -> tuple[Score, ...]:
    """The scores that entered the published dataset inference, in order; all are published ones."""
    return tuple(_SCORES[kind, name] for name in _INFERENCE[kind])


def declared_scores(kind: Kind) -> tuple[Score, ...]:
    """Every score of a kind in order of declaration, those on request included."""
    return tuple(s for (score_kind, _), s in _SCORES.items() if score_kind == kind)


def get_scores(
    patterns: str | Iterable[str],
    *,
    kind: Kind = "discrete",
    refused: Callable[[Score], str | None] = lambda score: None,
) -> tuple[Score, ...]:
    """The scores that `patterns` name, each once, in the order asked for.

    Args:
      patterns: names ("diff/loss"), shell patterns ("diff/*", "*/min_k_*"; in order of declaration), or the
        words "default" (every score of the literature), "paper" (those of the published tables, in the order
        of their columns) and "all"; one string or several.
      kind: the kind of target.
      refused: why a score cannot be had, None if it can. Words and patterns leave such scores out.

    Raises:
      InputError: if a pattern names no score (with the nearest names), a score that is refused, or nothing
        but such scores; or if there is no pattern.
    """
    known = {s.name: s for s in declared_scores(kind)}
    common = [name for name, s in known.items() if not s.on_request]
    words = {"default": [n for n in common if not known[n].published], "all": common}
    if kind in _PAPER:
        words["paper"] = list(_PAPER[kind])
    found: dict[str, Score] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        names = [pattern] if pattern in known else words.get(pattern) or fnmatch.filter(common, pattern)
        if not names:
            raise unknown_name(f"score of a {kind} target", pattern, [*known, *words])
        reasons = {name: refused(known[name]) for name in names}
        kept = [name for name in names if reasons[name] is None]
        if not kept:
            raise InputError(f"Score {names[0]} cannot be had: {reasons[names[0]]}.")
        found.update({name: known[name] for name in kept})
    if not found:
        raise InputError("No scores asked for; name some, or say 'default', 'paper' or 'all'.")
    return tuple(found.values())


@dataclasses.dataclass(frozen=True)
class ScorePlan:
    """Computes some scores together: `device` and `features` inside one jitted step, `host` later, outside.

    For example:

        plan = ScorePlan(get_scores(["diff/*"]))
        step = jax.jit(lambda ...: plan.device(guided_token_statistics(...)))
        device = step(...)                                   # returns at once
        ...                                                  # dispatch the next batch
        scores = plan.host(jax.device_get(device), tokens)   # {name: [B]}
    """

    scores: tuple[Score, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the scores, in order."""
        return tuple(s.name for s in self.scores)

    @property
    def inputs(self) -> frozenset[Any]:
        """The keys that `device` and `features` read from their argument."""
        scores = (*self._device_scores, *self._made("fitted"))
        return frozenset(itertools.chain.from_iterable(s.inputs for s in scores))

    @property
    def fitted(self) -> tuple[str, ...]:
        """The names of those scores that are fitted."""
        return tuple(s.name for s in self._made("fitted"))

    @property
    def _device_scores(self) -> tuple[Score, ...]:
        bases = [_SCORES[s.kind, *s.inputs] for s in self._made("host")]
        return tuple(dict.fromkeys([*self._made("device"), *bases]))

    def _made(self, made: Made) -> tuple[Score, ...]:
        return tuple(s for s in self.scores if s.made == made)

    def device(self, inputs: Mapping[Any, Any]) -> dict[str, Float[Array, " B"]]:
        """All device scores, and those that host scores are made from: {name: [B] float32}. Jittable.

        For discrete targets `inputs` is what `guided_token_statistics` returns, {view: statistics [B, L]};
        for diffusion models, what `jaxaudit.attacks.diffusion_graph.execute` does. Parts that scores share (a
        sort, a normalised log-probability) are merged by the compiler.
        """
        return {s.name: s.function(*(inputs[key] for key in s.inputs)) for s in self._device_scores}

    def features(
        self, inputs: Mapping[Any, Any], tokens_per_step: tuple[int, ...]
    ) -> dict[str, dict[str, Float[Array, " B"]]]:
        """The features of the fitted scores, {score: {feature: [B] float32}}. Jittable.

        `inputs` is that of `device`, `tokens_per_step` that of the target.
        """
        return {
            s.name: s.function(*(inputs[key] for key in s.inputs), tokens_per_step)
            for s in self._made("fitted")
        }

    def host(
        self, device: Mapping[str, Float[Array | np.ndarray, " B"]], tokens: Num[np.ndarray, "B L ..."] | None
    ) -> dict[str, Float[np.ndarray, " B"]]:
        """The scores in order, {name: [B]}, from what `device` returned, as NumPy, and the tokens.

        The tokens are for host scores, None for kinds without one. Fitted scores are left out: they are not
        known yet.
        """
        values = dict(device)
        by_function: dict[Callable[..., Any], list[Score]] = {}
        for s in self._made("host"):
            by_function.setdefault(s.function, []).append(s)
        for function, group in by_function.items():
            rows = function(np.stack([np.asarray(device[base]) for s in group for base in s.inputs]), tokens)
            values.update(zip([s.name for s in group], rows, strict=True))
        return {s.name: np.asarray(values[s.name]) for s in self.scores if s.made != "fitted"}
