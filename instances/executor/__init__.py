"""Carrying out jobs: claim, decide, at most one provider write per claim, store the outcome. See `run.run_due`."""
