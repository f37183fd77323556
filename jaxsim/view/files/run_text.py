"""How was a file made?  The options of its run, as YAML; without JAX, which a verb imports late."""


def run_text(table: dict[str, object]) -> str:
    """Options of a run as YAML, from which `jaxsim run` repeats it."""
    import yaml

    return yaml.safe_dump(table, sort_keys=False, allow_unicode=True)
