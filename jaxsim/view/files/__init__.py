"""Files that are written and configurations that are read.

`atomic` writes a file whole or not at all; `plan`, `sensitivity`, `validation` leave a folder each;
`store` keeps a sweep larger than memory. From results to files. Begin with `atomic.py`.
"""
