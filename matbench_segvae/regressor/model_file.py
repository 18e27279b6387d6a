"""A fitted estimator as a JSON file: readable, and nothing in it is ever run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from matbench_segvae.errors import UserError
from matbench_segvae.expressions import parse
from matbench_segvae.regressor.front import Equation
from matbench_segvae.regressor.losses import LOSSES, Loss
from matbench_segvae.regressor.uncertainty import Uncertainty

FORMAT = "matbench_segvae.SEGVAERegressor"


VERSION = 2


T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """Everything that predicts.

    Attributes:
        parameters: The estimator's parameters, in plain types.
        columns: Column names if the training table had some.
        variables: What each column is called in formulas, to column name.
        front: The formulas, simplest first.
        constant_free_front: Those of a front without any fitted number.
        chosen: Position of the one that predicts.
        loss: What the formulas were fitted under.
        floor: Loss below which differences are rounding.
        uncertainty: Gives predictions their standard deviation.
    """

    parameters: Mapping[str, Any]
    columns: tuple[str, ...] | None
    variables: Mapping[str, str]
    front: tuple[Equation, ...]
    constant_free_front: tuple[Equation, ...]
    chosen: int
    loss: Loss
    floor: float
    uncertainty: Uncertainty


def write_model(model: Model, path: Path) -> None:
    """Write a model.

    Raises:
        UserError: If the file cannot be written.
    """
    content = {
        "format": FORMAT,
        "format_version": VERSION,
        "columns": None if model.columns is None else list(model.columns),
        "variables": dict(model.variables),
        "chosen": model.chosen,
        # Formulas in full digits: reading them back gives the same constants.
        "front": _written(model.front),
        "plain_front": _written(model.constant_free_front),
        "loss": asdict(model.loss),
        "floor": model.floor,
        "uncertainty": asdict(model.uncertainty),
        "parameters": _plain(model.parameters),
    }
    try:
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write the model '{path}': {error.strerror}") from error


def read_model(path: Path) -> Model:
    """Read a model.

    Raises:
        UserError: If the file cannot be read, is damaged or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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
    try:
        return _model(content)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"the model '{path}' is damaged: {what}") from error


def _model(content: dict[str, Any]) -> Model:
    variables = {str(name): str(column) for name, column in content["variables"].items()}
    front, constant_free_front = (
        tuple(
            Equation(parse(entry["formula"], tuple(variables)), _number(entry["loss"]))
            for entry in content[name]
        )
        for name in ("front", "plain_front")
    )
    chosen = content["chosen"]
    members = tuple(content["uncertainty"]["members"])
    for position in (chosen, *members):
        if not isinstance(position, int) or not 0 <= position < len(front):
            raise ValueError(f"there is no formula {position!r}")
    columns = content["columns"]
    if columns is not None and list(columns) != list(variables.values()):
        raise ValueError("its columns and variables do not agree")
    if content["loss"]["name"] not in LOSSES:
        raise ValueError(f"unknown loss '{content['loss']['name']}'")
    return Model(
        parameters=dict(content["parameters"]),
        columns=None if columns is None else tuple(map(str, columns)),
        variables=variables,
        front=front,
        constant_free_front=constant_free_front,
        chosen=chosen,
        loss=Loss(content["loss"]["name"], _number(content["loss"]["width"])),
        floor=_number(content["floor"]),
        uncertainty=Uncertainty(
            _number(content["uncertainty"]["noise"]),
            _number(content["uncertainty"]["factor"]),
            members,
        ),
    )


def _written(front: tuple[Equation, ...]) -> list[dict[str, Any]]:
    return [
        {"complexity": e.complexity, "loss": e.loss, "formula": e.expression.to_string()}
        for e in front
    ]


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _plain(value: Any) -> Any:  # noqa: ANN401
    """A parameter in JSON's types; None for what has no text, such as functions."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value if not callable(item)]
    if hasattr(value, "item"):
        return value.item()  # a number of numpy
    return value if isinstance(value, str | int | float | bool | None) else None


def dataclass_from(kind: type[T], content: object) -> T:
    """Rebuild settings, groups inside groups included.

    Raises:
        TypeError: If the content does not fit.
    """
    if not isinstance(content, dict):
        raise TypeError(f"the settings {content!r} are no {kind.__name__}")
    hints = get_type_hints(kind)
    values = {}
    for name, value in content.items():
        hint = hints.get(name)
        if isinstance(hint, type) and is_dataclass(hint):
            value = dataclass_from(hint, value)
        values[name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
