"""Results as pictures, by matplotlib: one style, three sizes, each with its case and its source.

`style` has the sheet that all are drawn on; `frontier`, `breakdown`, `ratio`, `tornado`,
`gain_map`, `timeline` and `measured` one kind of picture each. From results to axes. Begin with
`style.py`.
"""
