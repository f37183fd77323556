"""Files of measured serving runs, each in its own columns, read into one record.

`readers` finds the reader of a file, `rows` is the record, `names` the catalogue's entries that a
row means. From CSV and JSON to `ServingRow`. Begin with `readers.py`.
"""
