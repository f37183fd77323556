"""Kernel constants fitted to measured launches.

`tables` and `csv` read launches, `starts` and `fit` find the constants, `file` writes a calibration
with its residuals. From measured launches to a TOML file. Begin with `calibrate.py`.
"""
