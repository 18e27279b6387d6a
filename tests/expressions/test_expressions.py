"""The language of formulas: printing, parsing, evaluating, the grammar."""

import dataclasses
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import matbench_segvae
from matbench_segvae.errors import UserError
from matbench_segvae.expressions import (
    OPERATORS,
    Expression,
    Grammar,
    canonical,
    pareto_front,
    parse,
)
from matbench_segvae.expressions.expression import canonical_order, complexity_of
from matbench_segvae.expressions.grammar import no_constant_subtree, no_free_factor, no_nesting_of
from matbench_segvae.expressions.operators import FITTED, NAMED_CONSTANTS, Kernel, Operator, apply
from matbench_segvae.fitting import compiled
from matbench_segvae.fitting.compiled import Program

PACKAGE = Path(matbench_segvae.__file__).parent
VARIABLES = ("x", "y")
CONSTANTS = st.floats(-5, 5).filter(lambda value: abs(value) > 1e-3)


@st.composite
def expressions(draw, max_depth=4):
    """Any formula of two variables, named constants and fitted constants."""

    def tree(depth):
        leaves = [*VARIABLES, *NAMED_CONSTANTS, FITTED]
        token = draw(st.sampled_from(leaves if depth == 0 else [*leaves, *OPERATORS]))
        arity = OPERATORS[token].arity if token in OPERATORS else 0
        return [token, *(t for _ in range(arity) for t in tree(depth - 1))]

    tokens = tuple(tree(max_depth))
    return Expression(tokens, tuple(draw(CONSTANTS) for _ in range(tokens.count(FITTED))))


@given(expressions())
@settings(max_examples=300, deadline=None)
def test_parsing_undoes_printing(expression):
    assert parse(expression.to_string(), VARIABLES) == expression


@given(expressions(), st.lists(st.tuples(CONSTANTS, CONSTANTS), min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_compiled_and_numpy_give_the_same_values_and_the_same_holes(expression, rows):
    points = np.array(rows)
    by_numpy = expression({"x": points[:, 0], "y": points[:, 1]})
    program = Program.compile([expression.tokens], VARIABLES)
    compiled = program.values(points, np.array([expression.constants]).reshape(1, -1))[0]
    # Elementary functions may differ in the last digits, which a difference of two large
    # numbers can bring to the front; holes may not differ unless a value sits on an edge.
    if not _is_ill_conditioned(expression, points):
        np.testing.assert_array_equal(np.isnan(by_numpy), np.isnan(compiled))
        np.testing.assert_allclose(compiled, by_numpy, rtol=1e-8, atol=1e-8)


def _is_ill_conditioned(expression, points):
    """Whether shifting the inputs by some 1e-12 changes the values or the holes visibly."""
    reference = expression({"x": points[:, 0], "y": points[:, 1]})
    for shift in (1 + 1e-12, 1 - 1e-12):
        moved = expression.with_constants([c * shift for c in expression.constants])(
            {"x": points[:, 0] * shift, "y": points[:, 1] * shift}
        )
        close = np.isclose(moved, reference, rtol=1e-9, atol=1e-9, equal_nan=True)
        if not close.all():
            return True
    return False


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_an_operator_means_the_same_in_sympy(name):
    arguments = [sp.Symbol(v, real=True) for v in VARIABLES[: OPERATORS[name].arity]]
    expression = Expression((name, *VARIABLES[: OPERATORS[name].arity]))
    for point in ((0.7, 1.3), (2.5, 0.4), (-1.2, 0.5), (0.0, 0.0)):
        values = {name: sp.Float(value) for name, value in zip(arguments, point, strict=False)}
        ours = float(expression({"x": np.array(point[0]), "y": np.array(point[1])}))
        theirs = complex(expression.sympy().subs(values, simultaneous=True).evalf())
        if not math.isfinite(theirs.real) or abs(theirs.imag) > 1e-12:
            assert math.isnan(ours)
        else:
            assert ours == pytest.approx(theirs.real, rel=1e-12)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_torch_follows_the_same_domain_rule(name):
    points = np.array([[0.7, 1.3], [-1.2, 0.5], [0.0, 0.0], [800.0, 1e-3]])
    columns = points.T[: OPERATORS[name].arity]
    with np.errstate(all="ignore"):
        by_numpy = apply(OPERATORS[name], np, *columns)
    by_torch = apply(OPERATORS[name], torch, *map(torch.tensor, columns))
    np.testing.assert_allclose(by_torch.numpy(), by_numpy, rtol=1e-14)


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_derivatives_by_constants_are_those_of_finite_differences(name):
    arity = OPERATORS[name].arity
    program = Program.compile([(name, *(["mul", FITTED, "x"] * arity))], ("x",))
    points = np.array([[0.3], [1.1]])
    constants = np.array([[0.8, 1.7][:arity]])
    slopes = program.derivatives(points, constants)[0]
    for index in range(arity):
        step = np.zeros_like(constants)
        step[0, index] = 1e-6
        ahead, behind = (program.values(points, constants + s)[0] for s in (step, -step))
        np.testing.assert_allclose(slopes[index], (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-8)


def test_derivatives_of_a_long_formula_follow_the_chain_rule():
    expression = parse("exp(0.3*x)*cos(1.5*x + 0.2)/(2.5 + x)**2 - tanh(0.7*x)*sqrt(x + 1.5)")
    program = Program.compile([expression.tokens], ("x",))
    points, constants = np.linspace(0.1, 3, 7)[:, None], np.array([expression.constants])
    slopes = program.derivatives(points, constants)[0]
    for index in range(expression.n_constants):
        step = np.zeros_like(constants)
        step[0, index] = 1e-6
        ahead, behind = (program.values(points, constants + s)[0] for s in (step, -step))
        np.testing.assert_allclose(slopes[index], (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-8)


def test_formulas_in_a_batch_do_not_disturb_each_other():
    formulas = [parse("x + 2.5*y"), parse("exp(x)*1.5"), parse("x"), parse("y/(x - 0.5)**2")]
    program = Program.compile([f.tokens for f in formulas], VARIABLES)
    constants = np.zeros((len(formulas), program.width))
    for row, formula in enumerate(formulas):
        constants[row, : formula.n_constants] = formula.constants
    points = np.array([[0.1, 2.0], [3.0, -1.0], [0.5, 1.0]])
    together = program.values(points, constants)
    for row, formula in enumerate(formulas):
        alone = formula({"x": points[:, 0], "y": points[:, 1]})
        np.testing.assert_allclose(together[row], alone, rtol=1e-14)


def test_outside_its_domain_a_formula_is_nan_not_an_error():
    values = parse("log(x) + sqrt(y) + 1/x")(
        {"x": np.array([0.0, -1, 1]), "y": np.array([1, 1, -1])}
    )
    assert np.isnan(values).all()


def test_readable_text_needs_few_brackets():
    text = "2.5*exp(-0.3*x) + cos(x - 1.5)**2 - 2/x"
    assert parse(text).to_string() == text
    assert str(Expression(("mul", "c", "x"))) == "c0*x"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("__import__('os').system('true')", "allowed are"),
        ("x**5", "x**5"),
        ("exp(x, y)", "takes 1 argument"),
        ("z + 1", "unknown name 'z'"),
        ("(lambda: 1)()", "allowed are"),
        ("x +", "cannot read the formula"),
        ("c + x", "'c'"),
        ("(" * 500 + "x" + ")" * 500, "cannot read"),
        ("x" * 20_000, "characters"),
        ("-" * 9999 + "x", "too long or nested too deeply|recursion"),
        ("1if x else 2", "allowed are"),
        ("-" * 501 + "x", "cannot read the formula|nested more than 200 levels"),
        ("+".join(["x"] * 2000), "nested more than 200 levels"),
        ("9" * 398, "too large a number"),
        ("0x" + "f" * 5000, "too large a number"),
        ("1e999*x", "too large a number"),
        ("-1e999", "too large a number"),
        ("-True", "only numbers"),
        ("True + x", "only numbers"),
        ("2j*x", "only numbers"),
        ("'a'", "only numbers"),
        ("-'a'", "only numbers"),
    ],
)
def test_text_that_is_not_a_formula_is_refused_in_one_line(text, named):
    with pytest.raises(UserError) as caught:
        parse(text, VARIABLES)
    assert any(one in str(caught.value) for one in named.split("|"))
    assert "\n" not in str(caught.value)


def test_signs_and_numbers_are_read_as_they_are_written():
    for text, tokens, constants in (
        ("-1", ("-1",), ()),
        ("-2", ("neg", "2"), ()),
        ("-2.5*x", ("mul", "c", "x"), (-2.5,)),
        ("-(-x)", ("neg", "neg", "x"), ()),
        ("10 + 11", ("add", "10", "c"), (11.0,)),
        ("x/3 - y*2.5", ("sub", "div", "x", "3", "mul", "y", "c"), (2.5,)),
    ):
        assert (parse(text).tokens, parse(text).constants) == (tokens, constants), text
    deep = "+".join(["x"] * 150)
    assert parse(deep)({"x": np.array(2.0)}) == 300


def test_a_sequence_that_is_not_one_formula_is_refused():
    for tokens in (("add", "x"), ("x", "y"), ()):
        with pytest.raises(ValueError, match="is not a formula"):
            Expression(tokens)
    with pytest.raises(ValueError, match="1 fitted constants, 2 values"):
        Expression(("mul", "c", "x"), (1.0, 2.0))


def test_canonical_order_joins_what_commutation_separates():
    assert canonical(parse("x*y + exp(x)").tokens) == canonical(parse("exp(x) + y*x").tokens)
    assert canonical(parse("x - y").tokens) != canonical(parse("y - x").tokens)


def test_a_fitted_number_is_twice_as_complex_as_a_whole_one():
    for text, complexity in (("x", 1), ("2*x", 3), ("2.0*x", 4), ("exp(-0.3*x) + 1.5", 8)):
        assert parse(text).complexity == complexity_of(parse(text).tokens) == complexity
    assert complexity_of(("c",)) == 2  # whether or not it has a value yet


@given(expressions())
@settings(max_examples=100, deadline=None)
def test_canonical_order_only_moves_tokens_and_settles(expression):
    order = canonical_order(expression.tokens)
    assert sorted(order) == list(range(len(expression)))
    once = canonical(expression.tokens)
    assert once == tuple(expression.tokens[i] for i in order)
    assert canonical(once) == once


def test_by_default_powers_may_be_written_and_towers_may_not():
    keeps = Grammar(VARIABLES, operators=(*Grammar(VARIABLES).operators, "tanh")).keeps
    for text in ("exp(y*log(x))", "exp(2*log(x + y))", "log(1 + exp(x))", "exp(x)*exp(y)"):
        assert keeps(parse(text).tokens), text
    for text in ("exp(x + exp(y))", "tanh(exp(x))", "log(x + log(y))", "exp(log(x))", "x - x"):
        assert not keeps(parse(text).tokens), text


def test_predicates_know_nesting_and_constants():
    no_trigonometric_nesting = no_nesting_of(("sin", "cos"))
    assert not no_trigonometric_nesting(parse("sin(x + cos(y))").tokens)
    assert no_trigonometric_nesting(parse("sin(x) + cos(y)").tokens)
    assert no_trigonometric_nesting(parse("sin(x)*y + x*cos(y)").tokens)
    assert not no_constant_subtree(parse("x + exp(2.5)").tokens)
    assert no_constant_subtree(parse("2.5*x").tokens)
    for text in ("2.5*x", "x/(y*2.5)", "x*(2.5*exp(y))", "neg(x + 2.5)", "(2.5*x)**2/y"):
        assert not no_free_factor(parse(text).tokens), text
    for text in ("x*exp(2.5*y)", "x + 2.5", "(x + 2.5)*(y - 2.5)", "(2.5*x + y)**2/y"):
        assert no_free_factor(parse(text).tokens), text
    for text in ("exp(x + 2.5)", "y/exp(2 - x)", "x*exp(2.5*(y + 2.5))**2", "exp(x - y/3 + 1)"):
        assert not no_free_factor(parse(text).tokens), text
    for text in ("exp(x*(y + 2.5))", "exp((x + 2.5)**2)", "1/(x + exp(x + 2.5))", "exp(x + y)"):
        assert no_free_factor(parse(text).tokens), text


def test_the_grammar_refuses_unknown_and_ambiguous_names():
    with pytest.raises(UserError, match="unknown operator 'foo'"):
        Grammar(("x",), operators=("foo",))
    with pytest.raises(UserError, match="unknown constant '42'"):
        Grammar(("x",), constants=("42",))
    with pytest.raises(UserError, match="two things"):
        Grammar(("exp",))


def test_the_pareto_front_holds_only_what_nothing_simpler_beats():
    losses = {1: 3.0, 2: 3.5, 3: 1.0, 4: 0.9999, 5: math.inf, 6: 0.5}
    front = pareto_front(losses, complexity=lambda size: size, loss=losses.__getitem__)
    assert front == [1, 3, 6]


NEW_ROW = """
    Operator(
        "gauss",
        1,
        lambda xp, a: xp.exp(-a * a),
        Kernel(lambda a: np.exp(-a * a), lambda value, a: -2 * a * value),
        lambda a: sp.exp(-(a**2)),
        "gauss({0})",
        even=True,
        nesting="bell-shaped",
    ),
)

OPERATORS: Mapping"""

USE_OF_IT = """
import numpy as np
from matbench_segvae.expressions import Expression, Grammar, parse
from matbench_segvae.expressions.rewriting import signs_moved_out
from matbench_segvae.fitting.compiled import Program

formula = parse("2.5*gauss(x - 1)")
program = Program.compile([formula.tokens], ["x"])
points, constants = np.linspace(-1, 2, 5)[:, None], np.array([[2.5]])
assert np.allclose(program.values(points, constants)[0], formula({"x": points[:, 0]}))
slopes = program.derivatives(points, constants)[0, 0]
assert np.allclose(slopes, np.exp(-((points[:, 0] - 1) ** 2)))
grammar = Grammar(("x",), operators=("gauss", "neg", "exp", "mul"))
assert grammar.keeps(("gauss", "x"))
assert not grammar.keeps(("gauss", "neg", "x"))
assert grammar.keeps(("gauss", "exp", "x"))
assert not grammar.keeps(("gauss", "exp", "gauss", "x"))
assert str(signs_moved_out(Expression(("gauss", "mul", "c", "x"), (-3.0,)))) == "gauss(3.0*x)"
"""


def test_a_new_operator_is_one_row_for_engine_grammar_and_rewriting(tmp_path):
    copy = tmp_path / "matbench_segvae"
    copy.mkdir()
    for name in ("__init__.py", "errors.py", "types.py", "seeding.py"):
        shutil.copy(PACKAGE / name, copy)
    for room in ("expressions", "fitting"):
        shutil.copytree(PACKAGE / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
    operators = copy / "expressions" / "operators.py"
    source = operators.read_text(encoding="utf-8")
    assert source.count("\n)\n\nOPERATORS: Mapping") == 1
    operators.write_text(source.replace("\n)\n\nOPERATORS: Mapping", NEW_ROW), encoding="utf-8")
    # Uncompiled, which takes less time and runs the same code.
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", USE_OF_IT],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


def test_an_operator_without_a_kernel_is_refused():
    row = OPERATORS["exp"]
    with pytest.raises(TypeError, match="kernel"):
        Operator("exp2", 1, row.function, symbolic=row.symbolic, template="exp2({0})")


def test_an_operator_has_one_or_two_arguments():
    with pytest.raises(ValueError, match="'exp' has arity 3: 1 or 2"):
        dataclasses.replace(OPERATORS["exp"], arity=3)


def test_compiled_code_is_made_anew_when_a_kernel_changes(monkeypatch):
    before = compiled._digest()
    assert compiled._digest() == before
    kernel = Kernel(lambda a: a * a, lambda value, a: 3 * a)
    changed = dataclasses.replace(OPERATORS["square"], kernel=kernel)
    monkeypatch.setattr(compiled, "OPERATORS", {**OPERATORS, "square": changed})
    assert compiled._digest() != before
