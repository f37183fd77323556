"""Facts about engines, read from their released packages by a maintainer.

`scan` lists the options of an engine's command line, from the sources in its wheel; the lists stand
in `jaxsim/catalog/data/deploy`, and the files that `jaxsim deploy` writes are checked against them.
"""
