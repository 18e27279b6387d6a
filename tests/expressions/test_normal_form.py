"""The normal form of formulas for people: equal, no longer, its constants with a meaning."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import sympy as sp

from matbench_segvae.algorithms.pair_laws.law import nodes_of
from matbench_segvae.algorithms.pair_laws.settings import PAIR_GRAMMAR
from matbench_segvae.expressions import Expression, parse
from matbench_segvae.expressions.figures import figures
from matbench_segvae.expressions.normal_form import normal_form
from matbench_segvae.expressions.notation import Latex
from matbench_segvae.expressions.scaled_formula import ScaledFormula, plain
from matbench_segvae.expressions.traced import Number
from matbench_segvae.expressions.tree import Addition, Call, Constant, Power, Quotient
from matbench_segvae.expressions.written import Units
from matbench_segvae.segvae.random_formulas import random_formulas

PAIRS = Units("Å", "eV")
POINTS = {"r": np.array([0.31, 1.7, 2.42, 3.19, 5.1, 8.9, 14.3])}
N_FORMULAS = 600


def rounding(expression, values):
    """How far rounding can move values, in units of the machine's precision.

    The error of every intermediate result, the constants included, is carried on to first order
    (running error analysis: Higham, Accuracy and Stability of Numerical Algorithms, section 3.3).
    """

    def leaf(token, index):
        value = expression.constants[index] if token == "c" else values.get(token, None)
        value = np.asarray(float(token) if value is None else value, dtype=float)
        return value, np.abs(value)

    def node(token, parts):
        (a, error), (b, other) = parts[0], parts[-1]
        match token:
            case "add":
                value, carried = a + b, error + other
            case "sub":
                value, carried = a - b, error + other
            case "mul":
                value, carried = a * b, abs(b) * error + abs(a) * other
            case "div":
                value, carried = a / b, error / abs(b) + abs(a / b**2) * other
            case "square":
                value, carried = a * a, 2 * abs(a) * error
            case "inv":
                value, carried = 1 / a, error / a**2
            case "exp":
                value, carried = np.exp(a), np.exp(a) * error
            case "cos":
                value, carried = np.cos(a), abs(np.sin(a)) * error
        return value, carried + np.abs(value)

    with np.errstate(all="ignore"):
        return expression.fold(leaf, node)[1]


def random_laws(seed, n_refits=0):
    """Formulas of the language of pair laws with random constants, a factor, and refits."""
    rng = np.random.default_rng(seed)
    for ids in random_formulas(PAIR_GRAMMAR, N_FORMULAS, seed):
        tokens = PAIR_GRAMMAR.decode(ids)
        size = (1 + n_refits, tokens.count("c"))
        constants = rng.choice([-1, 1], size) * np.exp(rng.uniform(-3, 3, size))
        scales = rng.choice([-1, 1], 1 + n_refits) * np.exp(rng.uniform(-7, 5, 1 + n_refits))
        laws = [
            (float(scale), Expression(tokens).with_constants(row))
            for scale, row in zip(scales, constants, strict=True)
        ]
        yield ScaledFormula(laws[0][1], laws[0][0], laws[1:])


@pytest.mark.parametrize("seed", range(3))
def test_a_normal_form_has_the_values_of_the_formula_and_is_no_longer(seed):
    n_compared, n_plain = 0, 0
    for law in random_laws(seed):
        form = normal_form(law, PAIRS)
        expected = law.scale * law.formula(POINTS)
        bound = abs(law.scale) * rounding(law.formula, POINTS)
        there = np.isfinite(expected) & np.isfinite(bound)
        difference = np.abs(form(POINTS) - expected)[there]
        bound, expected = bound[there], np.abs(expected[there])
        # The bound is a few times the value where nothing cancels, and more where the formula
        # itself has lost as many digits. The least number is for what underflows.
        assert (difference <= 1e-12 * bound + 1e-250).all(), (law.scale, law.formula, form.text)
        sound = bound < 10 * expected
        assert (difference[sound] <= 1e-12 * expected[sound] + 1e-250).all(), form.text
        assert form.nodes <= nodes_of([law.formula.tokens], 0), (str(law.formula), form.text)
        n_compared += sound.sum()
        n_plain += form.is_plain
    assert n_compared > 3 * N_FORMULAS
    assert n_plain < 0.02 * N_FORMULAS


@pytest.mark.parametrize("seed", range(3))
def test_refits_go_through_the_same_functions(seed):
    """A refit put into the normal form of another law has the values of the refit itself."""
    n_compared = 0
    for law in random_laws(seed, n_refits=1):
        form = normal_form(law, PAIRS)
        scale, formula = law.refits[0]
        bound = abs(scale) * rounding(formula, POINTS)
        expected = scale * formula(POINTS)
        of_refit = dataclasses.replace(form, root=with_refit(form.root))(POINTS)
        # Some constants, such as a decay length, may not exist in a refit with another sign.
        there = np.isfinite(expected) & np.isfinite(bound) & np.isfinite(of_refit)
        difference = np.abs(of_refit - expected)[there]
        assert (difference <= 1e-12 * bound[there] + 1e-250).all(), (str(formula), form.text)
        n_compared += there.sum()
    assert n_compared > 3 * N_FORMULAS


def with_refit(node):
    """A written formula with the constants of its first refit."""
    match node:
        case Constant(number, meaning, unit):
            return Constant(Number(number.values[-1:], number.origin), meaning, unit)
        case Addition(terms):
            return Addition(tuple((sign, with_refit(term)) for sign, term in terms))
        case Quotient(above, below):
            return Quotient(tuple(map(with_refit, above)), tuple(map(with_refit, below)))
        case Power(base, exponent):
            return Power(with_refit(base), exponent)
        case Call(name, argument):
            return Call(name, with_refit(argument))
    return node


@pytest.mark.parametrize(
    ("scale", "text", "expected"),
    [
        (
            -232.5,
            "inv((4.86 - r**2/cos((-0.5635 - r)/(-0.9101)))**2)",
            "-232.5/(r**2/cos(2*pi*r/5.718 Å + 0.6192) - 4.86)**2",
        ),
        (-5.498e-9, "exp(r*(8.226 - r))", "-0.1222*exp(-(r - 4.113 Å)**2)"),
        (-0.851, "inv(8.909 - r**2/cos(26.33/r))", "0.851/(r**2/cos(26.33/r) - 8.909)"),
        (2.0, "exp(1.5 - r/0.8)/r", "8.963*exp(-r/0.8 Å)/r"),
        (2.0, "exp(0.5*r)", "2*exp(0.5*r)"),
        (2.0, "exp(-0.25*(2.5 - r)**2)", "2*exp(-((r - 2.5 Å)/2 Å)**2)"),
        (-2.0, "cos(2.5 - 4.0*r)", "2*cos(2*pi*r/1.571 Å + 0.6416)"),
        (2.0, "cos(100.0 + r*1.0)", "2*cos(2*pi*r/6.283 Å - 0.531)"),
        (2.0, "cos(r)/(1.5*r)", "1.333*cos(r)/r"),
        (2.0, "inv((1.5*r)**2)*(2.5 - r)", "0.8889*(2.5 Å - r)/r**2"),
        (2.0, "((r/2.0)/4.0)**2", "0.03125*r**2"),
        (2.0, "0.5*exp(-1.0*r) + 0.25*inv(r*r*r)", "1*exp(-r/1 Å) + 0.5/r**3"),
        (2.0, "1.5 - r*0.5 + exp(r)", "2*exp(r) - 1*r + 3"),
        (None, "exp(-0.5*r)*cos(k*r)", "cos(2*pi*r/3.18 Å)*exp(-r/2 Å)"),
        (2.0, "(1.0 - 1.0)*r", "2*((1 - 1)*r)"),
        (2.0, "(r*exp(r))**2", "2*(r*exp(r))**2"),
    ],
)
def test_formulas_as_people_write_them(scale, text, expected):
    known = {"k": 2 * math.pi / 3.18}
    form = normal_form(ScaledFormula(parse(text), scale, known=known), PAIRS)
    assert form.text == expected
    assert form.is_plain == ("1 - 1" in expected)


def meanings(text, scale=2.0, refits=()):
    form = normal_form(ScaledFormula(parse(text), scale, refits), PAIRS)
    return {one.name: (one.meaning, one.unit) for one in form.constants}


def test_constants_know_what_they_are_and_their_units():
    assert meanings("exp(-1.5*r)*cos(2.0*r + 1.0) + 0.5/r**3 + 0.25") == {
        "A": ("amplitude", "eV"),
        "lambda": ("wavelength", "Å"),
        "phi": ("phase", "rad"),
        "l": ("decay length", "Å"),
        "a": ("coefficient", "eV Å³"),
        "b": ("offset", "eV"),
    }
    assert meanings("inv((r**2 + 1.5)**2)") == {
        "a": ("coefficient", "eV Å⁴"),
        "b": ("offset", "Å²"),
    }
    assert meanings("exp(-0.5*(r - 2.5)**2)/r") == {
        "A": ("amplitude", "eV Å"),
        "d": ("shift", "Å"),
        "w": ("width", "Å"),
    }
    # A distance plus its square has no unit: none is made up.
    assert meanings("r + r**2 + 1.5") == {"a": ("coefficient", None), "b": ("offset", None)}
    assert meanings("exp(-1.5*r)", scale=None) == {"l": ("decay length", "Å")}


def test_intervals_are_those_of_the_constants_shown():
    rng = np.random.default_rng(0)
    slopes, scales = rng.normal(-1.25, 0.01, 200), rng.normal(3, 0.1, 200)
    # The same oscillation, its phase written in another way in every refit.
    phases = rng.normal(3.1, 0.05, 200) + 2 * np.pi * rng.integers(-3, 4, 200)
    signs = rng.choice([-1, 1], 200)
    formula = parse("exp(-1.25*r)*cos(2.5*r + 3.1)")
    refits = [
        (s * sign, formula.with_constants([k, sign * 0 + 2.5, p + np.pi * (sign < 0)]))
        for s, k, p, sign in zip(scales, slopes, phases, signs, strict=True)
    ]
    form = normal_form(ScaledFormula(formula, 3.0, refits), PAIRS)
    of = {one.meaning: one for one in form.constants}
    np.testing.assert_allclose(of["amplitude"].interval, np.percentile(scales, [5, 95]))
    np.testing.assert_allclose(of["decay length"].interval, np.percentile(-1 / slopes, [5, 95]))
    low, high = of["phase"].interval
    assert low < 3.1 < math.pi < high < 3.3
    assert of["wavelength"].figures == f"{2 * math.pi / 2.5:.6g}"  # the same in all refits
    assert of["amplitude"].figures == "3.00"
    # A decay that turns into growth in a tenth of the refits has no longest length.
    wide = [(1.0, formula.with_constants([k, 2.5, 3.1])) for k in np.linspace(-1, 0.1, 20)]
    form = normal_form(ScaledFormula(formula, 3.0, wide), PAIRS)
    assert {one.meaning: one.interval for one in form.constants}["decay length"] is None


@pytest.mark.parametrize(
    ("value", "ends", "expected"),
    [
        (5.718327, (5.71, 5.74), "5.718"),
        (5.718327, (5.0, 6.4), "5.7"),
        (5.718327, (-20.0, 30.0), "5.7"),
        (5.718327, (5.718326, 5.718328), "5.71833"),
        (0.5, (0.45, 0.55), "0.50"),
        (-1234.5, (-1500.0, -1000.0), "-1230"),
        (1.2345e-7, (1.2e-7, 1.3e-7), "1.23e-07"),
        (5.718327, None, "5.718"),
        (0.0, (0.0, 0.1), "0"),
    ],
)
def test_figures_end_one_digit_behind_the_first_uncertain_one(value, ends, expected):
    assert figures(value, ends) == expected


def test_the_same_form_in_latex_sympy_and_json():
    formula = parse("inv((4.86 - r**2/cos((-0.5635 - r)/(-0.9101)))**2)")
    form = normal_form(ScaledFormula(formula, -232.5), PAIRS)
    assert form.symbols == "a/(r**2/cos(2*pi*r/lambda + phi) - b)**2"
    assert form.latex == (
        r"-\frac{232.5}{\left(\frac{r^{2}}{\cos\left(\frac{2 \pi \, r}{5.718\,\text{Å}}"
        r" + 0.6192\right)} - 4.86\right)^{2}}"
    )
    values = form.sympy().subs(sp.Symbol("r", real=True), 3.3)
    assert float(values) == pytest.approx(float(form({"r": 3.3})), rel=1e-12)
    names = {str(symbol) for symbol in form.sympy(with_values=False).free_symbols}
    assert names == {"a", "b", "lambda", "phi", "r"}
    content = json.loads(json.dumps(form.as_json()))
    assert (content["formula"], content["text"]) == (form.symbols, form.text)
    assert content["constants"][1] == {
        "name": "lambda",
        "value": pytest.approx(2 * math.pi * 0.9101),
        "unit": "Å",
        "meaning": "wavelength",
        "interval_90_percent": None,
        "fixed": False,
    }


def has_double_superscript(latex):
    """Whether an exponent follows the closing brace of another one."""
    opened = []
    for place, character in enumerate(latex):
        if character == "{":
            opened.append(latex[place - 1])
        elif character == "}" and opened.pop() == "^" and latex.startswith("^", place + 1):
            return True
    return False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("exp(r)**2", r"\left(e^{r}\right)^{2}"),
        ("(exp(r)*r)**2", r"\left(e^{r} \, r\right)^{2}"),
    ],
)
def test_what_has_an_exponent_is_in_brackets_under_another_one(text, expected):
    latex = Latex(str).formula(plain(ScaledFormula(parse(text))))
    assert latex == expected


def test_random_formulas_have_no_double_superscript_in_latex():
    assert has_double_superscript("a + e^{r^{2}}^{2}")
    for law in random_laws(11):
        for root in (plain(law), normal_form(law, PAIRS).root):
            latex = Latex(lambda place: r"1.2 \cdot 10^{-5}").formula(root)
            assert not has_double_superscript(latex), latex


def test_a_normal_form_of_random_formulas_is_the_same_to_sympy():
    r = sp.Symbol("r", real=True)
    for law in itertools.islice(random_laws(7), 100):
        form = normal_form(law, PAIRS)
        value = form({"r": 2.42})
        if np.isfinite(value) and abs(value) > 1e-8:
            assert complex(form.sympy().subs(r, 2.42)) == pytest.approx(complex(value), rel=1e-6)


def test_names_do_not_clash_with_variables():
    form = normal_form(ScaledFormula(parse("exp(-1.5*l) + 0.5*A"), 2.0))
    assert form.symbols == "A_*exp(-l/l_) + a*A"
