"""The report of a plan: one HTML file that needs no network.

`page` gathers its texts, `notes` how sure it is, `evidence` the constants it rests on; `templating`
opens the Jinja2 templates of `templates/`, which lay it out. From a plan to HTML. Begin with
`page.py`.
"""
