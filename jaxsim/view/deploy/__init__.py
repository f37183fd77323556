"""From a plan to the files that deploy it, and to the commands that measure it.

`order` is what is to be deployed, read from `plan.json` by `plan_file`; `shapes` says what an
engine can express; `arguments` turns a pool into an engine's own flags; `targets` has one file per
platform; `write` checks all files and puts them in a folder. Begin with `order.py`.
"""
