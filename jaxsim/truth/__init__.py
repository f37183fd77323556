"""Against measurement: files of measurements, fits of kernels and engines, validation.

`read/` turns published files into rows, `cases` and `runs` into timed predictions, `kernels/` and
`engines/` fit constants, `validate` compares. From files to constants and errors. Begin with
`validate.py`.
"""
