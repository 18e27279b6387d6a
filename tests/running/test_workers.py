"""Folds side by side, each in a process of its own."""

import multiprocessing
import os

import pytest

from matbench_segvae.algorithms.registry import algorithm_class
from matbench_segvae.running import FoldResult, FoldStore, RunOptions, run, usable_cores
from matbench_segvae.running import runner as running
from matbench_segvae.running.piece import Piece, Problem
from matbench_segvae.running.workers import run_pieces

TASK = "defects2d_xtb_mos2"
FOLDS = [1, 3]


class Listening:
    def __init__(self):
        self.begun = set()

    def started(self, task, algorithm, fold):
        self.begun.add((task, algorithm, fold))

    def progress(self, task, algorithm, fold, line):
        pass


def pieces(*algorithms, folds=range(5)):
    return [Piece(TASK, algorithm, fold, 0) for algorithm in algorithms for fold in folds]


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory):
    """An algorithm that cannot be run, and folds of one that can, in two processes."""
    out, listener = tmp_path_factory.mktemp("results"), Listening()
    found = list(
        run_pieces([*pieces("nope"), *pieces("pair_table", folds=FOLDS)], out, 2, listener)
    )
    return out, listener, found


def test_folds_side_by_side_give_what_they_give_one_by_one(side_by_side, tmp_path):
    out, listener, found = side_by_side
    assert listener.begun >= {(TASK, "pair_table", fold) for fold in FOLDS}
    one_by_one = run([TASK], ["pair_table"], RunOptions(FOLDS), tmp_path).results
    for result in one_by_one:
        aside = dict(found)[Piece(TASK, "pair_table", result.fold, 0)]
        assert isinstance(aside, FoldResult)
        assert aside.predictions == result.predictions
        # Every process has stored what it found.
        assert FoldStore(out, "defects2d_v0.1", "pair_table").load(TASK, result.fold) == aside
    assert os.environ.get("OMP_NUM_THREADS", "1") == "1"


def test_what_holds_for_all_folds_ends_the_others(side_by_side):
    refused = [one for _, one in side_by_side[2] if isinstance(one, Problem)]
    assert len(refused) == 1
    assert refused[0].fold is None and "nope" in refused[0].message


def test_a_process_that_dies_costs_its_pieces_and_no_result(tmp_path):
    class Killing(Listening):
        def started(self, task, algorithm, fold):
            for process in multiprocessing.active_children():
                process.kill()

    found = dict(run_pieces(pieces("pair_table", folds=[0]), tmp_path, 1, Killing()))
    (problem,) = found.values()
    assert isinstance(problem, Problem) and problem.fold == 0
    assert "its process ended before it" in problem.message
    assert multiprocessing.active_children() == []


def test_only_long_fits_have_processes_of_their_own(tmp_path, monkeypatch):
    given = []

    def aside(pieces, out, workers, observer):
        given.append(([piece.key for piece in pieces], workers))
        return iter(())

    monkeypatch.setattr(running, "run_pieces", aside)
    assert algorithm_class("segvae").card.takes_minutes
    assert not algorithm_class("dummy").card.takes_minutes
    report = run([TASK], ["dummy", "segvae"], RunOptions([1, 2], workers=7), tmp_path)
    assert [result.algorithm for result in report.results] == ["dummy", "dummy"]
    assert given == [([(TASK, "segvae", 1), (TASK, "segvae", 2)], 2)]


@pytest.mark.parametrize("cores", [{0}, set(range(4)), set(range(64))])
def test_there_are_as_many_processes_as_cores_up_to_eight(cores, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores, raising=False)
    assert usable_cores() == min(len(cores), 8)
