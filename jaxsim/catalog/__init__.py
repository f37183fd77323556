"""What exists: models, hardware, precisions, kernel fits, engines and prices, as data with sources.

From TOML files (and `config.json`, CSV) to typed records. Imports nothing of jaxsim. `load` opens a
name or a path; `config_json` reads a model's config.json, key by key through `_config_keys`;
`cards` are the records with their sources; `setup` joins a model, hardware, precision and engine
into what a point is evaluated on. Begin with `load.py`.
"""
