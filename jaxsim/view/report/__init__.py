"""The report of a plan: one HTML file that needs no network.

`page` composes it, `notes` says how sure it is, `evidence` on which constants it rests.
From a plan to HTML. Begin with `page.py`.
"""
