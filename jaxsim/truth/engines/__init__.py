"""Factors and overheads of serving engines, fitted to measured runs.

`data` weighs the runs, `fit` finds the factors, `held_out` judges them on runs not fitted, `files`
writes them with their provenance. From runs to a TOML file. Begin with `fit.py`.
"""
