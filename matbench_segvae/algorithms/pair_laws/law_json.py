"""Pair laws in JSON's own types, and read again from files that anybody may have changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matbench_segvae.algorithms.pair_laws.law import VARIABLES, PairLaw
from matbench_segvae.algorithms.pair_laws.shared_shapes import SharedShapes
from matbench_segvae.defects import HOSTS, MANY_BODY_TERMS, Host, PairKind, checked_defect_kind
from matbench_segvae.errors import cut, finite
from matbench_segvae.expressions import parse

SHAPES_KEY = "shared_shapes"
FORMULAS_KEY = "pair_formulas"
_ENERGIES = "defect_energies_eV"
_SCALES = "pair_scales_eV"
_CONSTANT = "energy_per_structure_eV"
_STRUCTURE = "structure"
_KEYS = {_ENERGIES, _SCALES, FORMULAS_KEY, _CONSTANT, SHAPES_KEY}


def law_as_json(law: PairLaw) -> dict[str, dict[str, Any]]:
    """A law in JSON's own types, numbers in full precision."""
    constant = {} if law.constant is None else {_CONSTANT: {_STRUCTURE: law.constant}}
    shared = {} if law.shared is None else {SHAPES_KEY: law.shared.as_json()}
    return {
        _ENERGIES: dict(law.defect_energies),
        _SCALES: {str(kind): scale for kind, scale in law.pair_scales.items()},
        FORMULAS_KEY: {str(k): f.to_string() for k, f in law.pair_formulas.items()},
        **{
            key: {kind: factor for (t, kind), factor in law.many_body.items() if t == term}
            for key, term in MANY_BODY_TERMS.items()
        },
        **constant,
        **shared,
    }


def law_from_json(content: Mapping[str, Any]) -> PairLaw:
    """Rebuild a law from what :func:`law_as_json` gave.

    Raises:
        ValueError: If a formula, a number or a kind of defect or pair cannot be read, or a
            many-body term is not known here.
        KeyError: If something is missing.
    """
    unknown = content.keys() - MANY_BODY_TERMS.keys() - _KEYS
    if unknown:
        # Without one of its terms a law would predict something else.
        raise ValueError(
            f"many-body terms {cut(', '.join(map(cut, sorted(unknown))))} are not known: known "
            f"are {', '.join(MANY_BODY_TERMS)}"
        )
    constant = _constant(content)
    energies = {
        checked_defect_kind(kind): energy for kind, energy in _numbers(content, _ENERGIES).items()
    }
    factors = {
        (term, kind): factor
        for key, term in MANY_BODY_TERMS.items()
        if key in content
        for kind, factor in _numbers(content, key).items()
    }
    scales = {
        PairKind.parse(label): finite(scale, "factors") for label, scale in content[_SCALES].items()
    }
    texts = content[FORMULAS_KEY]
    if SHAPES_KEY in content:
        shared = SharedShapes.from_json(content[SHAPES_KEY])
        law = PairLaw.from_shared(shared, energies, factors, constant)
        if law_as_json(law)[FORMULAS_KEY] != texts:
            raise ValueError("its formulas are not those of its shared formula and table")
        if law.pair_scales != scales:
            raise ValueError("its factors are not 1 for each kind of pair of its shared formula")
        return law
    formulas = {PairKind.parse(label): parse(text, VARIABLES) for label, text in texts.items()}
    return PairLaw(energies, scales, formulas, factors, constant)


def _numbers(content: Mapping[str, Any], key: str) -> dict[str, float]:
    """A number for each of some kinds of defects, or of what a many-body term is around."""
    return {kind: finite(value, key) for kind, value in content[key].items()}


def _constant(content: Mapping[str, Any]) -> float | None:
    """The energy of every structure in a law's JSON, if it has one.

    Raises:
        ValueError: If it is something else than one finite number.
    """
    if _CONSTANT not in content:
        return None
    if list(content[_CONSTANT]) != [_STRUCTURE]:
        raise ValueError(f"its {_CONSTANT} is not one number under '{_STRUCTURE}'")
    return finite(content[_CONSTANT][_STRUCTURE], _CONSTANT)


def host_as_json(host: Host) -> str | dict[str, Any]:
    """The name of a built-in host, all of any other one, so that the law can be used anywhere."""
    return host.name if HOSTS.get(host.name) == host else host.as_json()


def hosts_from_json(contents: object) -> tuple[Host, ...]:
    """Take back a list of what :func:`host_as_json` gave.

    Raises:
        ValueError: If there is none, or one is no host.
    """
    if not isinstance(contents, list | tuple) or not contents:
        raise ValueError("its hosts are not a list of one or more")
    return tuple(map(_host_from_json, contents))


def _host_from_json(content: object) -> Host:
    if isinstance(content, Mapping):
        return Host.from_json(content)
    if not isinstance(content, str) or content not in HOSTS:
        raise ValueError(f"its host {cut(content)!r} is none of {', '.join(HOSTS)}")
    return HOSTS[content]


def range_from_json(ends: object) -> tuple[float, float]:
    """The shortest and the longest distance of a kind of pair, Å.

    Raises:
        ValueError: If it is not two numbers, positive and in this order.
    """
    if isinstance(ends, list | tuple) and len(ends) == 2:
        low, high = (finite(end, "distances_A") for end in ends)
        if 0 < low <= high:
            return low, high
    raise ValueError(
        f"a range of its distances_A is {cut(ends)}: give the shortest and the longest in Å"
    )


def error_from_json(value: object, what: str) -> float:
    """A mean absolute error.

    Raises:
        ValueError: If it is no finite number, or negative.
    """
    number = finite(value, what)
    if number < 0:
        raise ValueError(f"its {what} is {number:g}, below 0")
    return number
