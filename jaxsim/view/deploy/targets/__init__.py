"""One file per platform: each turns an order and its settings into the texts of files.

Every module has `files(order, settings)`, which returns texts by path; `registry` lists them. From
pools to manifests and scripts. Begin with `registry.py`.
"""
