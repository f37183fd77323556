"""Against measurement: calibration of kernels and engines, validation on measured rows."""
