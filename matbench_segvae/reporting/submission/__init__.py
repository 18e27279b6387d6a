"""Submission folders: written after a run, completed for a leaderboard, checked."""

RESULTS = "results.json.gz"
INFO = "info.json"
