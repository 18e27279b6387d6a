"""A fitted estimator as a JSON file: readable, and nothing in it is ever executed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import Expression, parse
from matbench_segvae.files import read_text, write_text
from matbench_segvae.regressor.front import Equation
from matbench_segvae.regressor.losses import LOSSES, Loss
from matbench_segvae.regressor.table_search import WarmStart
from matbench_segvae.regressor.uncertainty import Uncertainty
from matbench_segvae.segvae.settings import FitSettings, SearchSettings

FORMAT = "matbench_segvae.SEGVAERegressor"
VERSION = 2
_MOST_FITS = 1_000_000  # by one estimator; more are none
T = TypeVar("T")


def write_model(parameters: Mapping[str, Any], fitted: Mapping[str, Any], path: Path) -> None:
    """Write a fitted estimator.

    Args:
        parameters: The estimator's parameters by name.
        fitted: Its fitted attributes by name; what a prediction does not need is left out.
        path: Where to write.

    Raises:
        UserError: If the file cannot be written.
    """
    columns = fitted.get("feature_names_in_")
    content = {
        "format": FORMAT,
        "format_version": VERSION,
        "columns": None if columns is None else list(columns),
        "variables": fitted["variables_"],
        "chosen": fitted["best_index_"],
        # Formulas in full digits: reading them back gives the same constants.
        "front": _front_content(fitted["front_"]),
        "plain_front": _front_content(fitted["constant_free_front_"]),
        "loss": asdict(fitted["loss_"]),
        "floor": fitted["_floor"],
        "uncertainty": asdict(fitted["uncertainty_"]),
        "search": _search_content(fitted.get("_previous")),
        "parameters": _as_json(parameters),
    }
    try:
        write_text(path, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise UserError(f"cannot write the model '{path}': {error.strerror}") from error


def read_model(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the parameters and the fitted attributes of an estimator, each by name.

    Raises:
        UserError: If the file cannot be read, is damaged or is something else.
    """
    content = _read_content(path)
    try:
        return _parameters(content["parameters"]), _fitted(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"the model '{path}' is damaged: {what}") from error


def _read_content(path: Path) -> dict[str, Any]:
    """The JSON of a model in this format and version."""
    try:
        content = json.loads(read_text(path))
    except OSError as error:
        raise UserError(f"cannot read the model '{path}': {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"'{path}' is not a model: it holds no JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"'{path}' is not a model: save() of SEGVAERegressor writes them")
    version = content.get("format_version")
    if version != VERSION:
        raise UserError(
            f"'{path}' is a model in format version {version}, this program reads version "
            f"{VERSION}: save it again, or use the program that wrote it"
        )
    return content


def _parameters(content: dict[str, Any]) -> dict[str, Any]:
    """Parameters as the estimator's constructor takes them."""
    parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    for name, kind in (("search_settings", SearchSettings), ("fit_settings", FitSettings)):
        if parameters.get(name) is not None:
            parameters[name] = _dataclass_from(kind, parameters[name])
    return parameters


def _fitted(content: dict[str, Any]) -> dict[str, Any]:
    """The fitted attributes, checked against each other."""
    variables = {str(name): str(column) for name, column in content["variables"].items()}
    columns = content["columns"]
    if columns is not None and list(columns) != list(variables.values()):
        raise ValueError("its columns and variables do not agree")
    front = _front(content["front"], tuple(variables))
    chosen, members = content["chosen"], tuple(content["uncertainty"]["members"])
    for position in (chosen, *members):
        if not isinstance(position, int) or not 0 <= position < len(front):
            raise ValueError(f"there is no formula {position!r}")
    loss, uncertainty = content["loss"], content["uncertainty"]
    if loss["name"] not in LOSSES:
        raise ValueError(f"unknown loss '{loss['name']}'")
    noise, factor = _number(uncertainty["noise"]), _number(uncertainty["factor"])
    names = {} if columns is None else {"feature_names_in_": np.array(columns, dtype=object)}
    # Files of earlier versions do not have it.
    search = {"_previous": _search(content["search"])} if "search" in content else {}
    optional: dict[str, Any] = {**names, **search}
    return optional | {
        "n_features_in_": len(variables),
        "variables_": variables,
        "front_": front,
        "constant_free_front_": _front(content["plain_front"], tuple(variables)),
        "best_index_": chosen,
        "loss_": Loss(loss["name"], _number(loss["width"])),
        "_floor": _number(content["floor"]),
        "uncertainty_": Uncertainty(noise, factor, members),
    }


def _front_content(front: Sequence[Equation]) -> list[dict[str, Any]]:
    return [
        {"complexity": e.complexity, "loss": e.loss, "formula": e.expression.to_string()}
        for e in front
    ]


def _front(content: list[dict[str, Any]], variables: tuple[str, ...]) -> tuple[Equation, ...]:
    return tuple(
        Equation(parse(entry["formula"], variables), _number(entry["loss"])) for entry in content
    )


def _search_content(start: WarmStart | None) -> dict[str, Any] | None:
    """What another fit starts from, its network left out."""
    if start is None:
        return None
    return {
        "language": list(start.language),
        "scales": start.scales.tolist(),
        "formulas": [[list(one.tokens), list(one.constants)] for one in start.formulas],
        "fits": start.n_fits,
    }


def _search(content: dict[str, Any] | None) -> WarmStart | None:
    if content is None:
        return None
    scales = np.array([_number(scale) for scale in content["scales"]])
    if not (scales > 0).all():
        raise ValueError("a scale of its search is not above 0")
    formulas = tuple(
        Expression(tuple(map(str, tokens)), tuple(map(_number, constants)))
        for tokens, constants in content["formulas"]
    )
    if any(one.n_constants != len(one.constants) for one in formulas):
        raise ValueError("a formula of its search lacks values of its constants")
    language, n_fits = tuple(map(str, content["language"])), int(_number(content["fits"]))
    if not 0 <= n_fits < _MOST_FITS:
        raise ValueError(f"its search says {n_fits} fits")
    return WarmStart(language, scales, formulas, n_fits=n_fits)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _as_json(value: Any) -> Any:  # noqa: ANN401
    """A parameter in JSON's types; None for what has no text, such as functions."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value if not callable(item)]
    if hasattr(value, "item"):
        return value.item()  # a number of numpy
    return value if isinstance(value, str | int | float | bool | None) else None


# Fields of SearchSettings under their names in version 0.1.
_RENAMED = {
    "scaled": "linear_scaling",
    "masked": "grammar_mask",
    "deduplicated": "discard_duplicates",
    "changed_share": "mutation_share",
    "kept_share": "elite_share",
    "champions": "hall_of_fame",
    "memory": "recent_rounds",
    "passes": "elite_passes",
}


def _dataclass_from(kind: type[T], content: object) -> T:
    """Rebuild settings, groups inside groups included, also those that version 0.1 saved.

    Raises:
        TypeError: If the content does not fit.
    """
    if not isinstance(content, dict):
        raise TypeError(f"the settings {content!r} are no {kind.__name__}")
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for saved_name, value in content.items():
        name = str(_RENAMED.get(saved_name, saved_name))
        hint = hints.get(name)
        if isinstance(hint, type) and is_dataclass(hint):
            value = _dataclass_from(hint, value)
        values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
