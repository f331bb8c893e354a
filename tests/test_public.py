"""What all public names have in common: annotations that resolve, docstrings, keys called key, keywords."""

import importlib
import inspect
import pkgutil
import typing

import checkpoints_convert
import jaxaudit
import jaxaudit_kernels


def _modules():
    for package in (jaxaudit, jaxaudit_kernels, checkpoints_convert):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.rsplit(".", 1)[-1].startswith("_"):
                yield importlib.import_module(module.name)


def _functions():
    """(name, function) of every public function, method and property, where it is defined."""
    for module in _modules():
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
                continue
            inside = vars(value) if inspect.isclass(value) else {}
            for place, member in {"": value, **inside}.items():
                member = getattr(member, "fget", None) or inspect.unwrap(getattr(member, "__func__", member))
                ours = getattr(member, "__module__", None) == module.__name__
                if ours and not place.startswith("_") and inspect.isfunction(member):
                    yield f"{module.__name__}.{name}{'.' * bool(place)}{place}", member


FUNCTIONS = dict(_functions())


def parameters():
    for name, function in FUNCTIONS.items():
        for parameter in inspect.signature(function).parameters.values():
            yield name, parameter


def test_there_is_something_to_look_at():
    assert len(FUNCTIONS) > 500
    assert {"jaxaudit.stats.roc.auc", "jaxaudit.targets.base.BaseTarget.num_tokens"} <= FUNCTIONS.keys()


def test_annotations_resolve():
    """The import hook would leave a signature that does not resolve unchecked, and say nothing."""
    unresolved = {}
    for name, function in FUNCTIONS.items():
        try:
            typing.get_type_hints(function)
        except Exception as error:
            unresolved[name] = repr(error)
    assert unresolved == {}


def test_every_function_says_what_it_does():
    assert [name for name, function in FUNCTIONS.items() if not inspect.getdoc(function)] == []


def test_randomness_comes_from_a_key_or_from_numpys_generator():
    for name, parameter in parameters():
        annotation = str(parameter.annotation)
        if annotation.startswith("Key[Array"):
            assert parameter.name in ("key", "keys"), name
        if parameter.name == "rng":
            assert "np.random.Generator" in annotation, name


def test_options_are_given_by_keyword():
    """A number or word that may be left out is an option, unless it comes first: the function is about it."""
    positional = []
    for name, function in FUNCTIONS.items():
        if name == "jaxaudit.runtime.progress.silent":  # a `Progress`, whose four are told by place
            continue
        later = [p for p in inspect.signature(function).parameters.values() if p.name != "self"][1:]
        positional += [
            f"{name}({p})"
            for p in later
            if p.kind is p.POSITIONAL_OR_KEYWORD and isinstance(p.default, bool | int | float | str)
        ]
    assert positional == []
