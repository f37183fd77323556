"""How often is a draft accepted where the command line does not say?"""

import argparse

from jaxsim.catalog.errors import InputError


def published(args: argparse.Namespace) -> str | None:
    """What was published of one draft a step of the model; None where nothing was, or of more."""
    if args.draft_tokens != "1" or not isinstance(getattr(args, "model", None), str):
        return None
    from jaxsim.catalog.drafts import acceptance_of
    from jaxsim.catalog.names import resolve_model

    try:
        acceptance = acceptance_of(resolve_model(args.model)[0])
    except InputError:
        return None  # a file of the user's own
    return None if acceptance is None else str(acceptance.accept_frac)
