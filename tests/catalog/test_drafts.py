"""Is what is published of drafts about models that draft, and does the command line use it?"""

import pytest

from jaxsim.catalog import drafts
from jaxsim.catalog.load import load_model
from jaxsim.view.cli import options
from jaxsim.view.cli.main import build_parser
from tests.narrow import some

WORDS = "plan {} --hardware h200 --isl 64 --osl 64 --ftl 1s --ttl 50ms --draft-tokens {}"


def test_published_acceptances_are_of_models_that_draft():
    for name in drafts.published():
        result = some(drafts.acceptance_of(name))
        assert 0.0 < result.accept_frac < 1.0
        assert result.kind in ("measured", "assumed")
        assert len(result.source) > 20
        assert load_model(name).mtp_layers > 0
    assert drafts.acceptance_of("llama-3.1-8b") is None


@pytest.mark.parametrize(
    ("model", "count", "expected"),
    [
        ("deepseek-ai/DeepSeek-R1", "1", "0.875"),
        ("deepseek-r1", "2", None),  # later drafts are accepted less
        ("llama-3.1-8b", "1", None),
        ("deepseek-r1", "0", None),
    ],
)
def test_one_draft_is_accepted_as_published(model, count, expected):
    args = build_parser().parse_args(WORDS.format(model, count).split())
    options.prepare(args)
    assert args.accept_frac == expected


def test_what_is_said_is_kept():
    words = [*WORDS.format("deepseek-r1", "1").split(), "--accept-frac", "0.6"]
    args = build_parser().parse_args(words)
    options.prepare(args)
    assert args.accept_frac == "0.6"
