"""Which picture is behind which claim, and what does it show?"""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from jaxsim.view.study import pictures, pictures_pools
from jaxsim.view.study.settings import Setting
from jaxsim.view.study.source import Study


@dataclass(frozen=True)
class Picture:
    """A figure: its file name without suffix, how it is drawn, and what to see in it."""

    name: str
    draw: Callable[[Study, Setting], Figure]
    claims: tuple[str, ...]
    title: str
    caption: str


PICTURES = (
    Picture("traffic", pictures.traffic_figure, ("C1", "C2", "C3"), "Traffic decides",
            "Throughput per GPU against interactivity; normalised to the best on the left axis, "
            "absolute on the right. Last panel: the ratio of the two frontiers."),
    Picture("sizes", pictures.sizes_figure, ("C4",), "Model size",
            "Llama-3.1 at 4096/256."),
    Picture("middle", pictures.middle_figure, ("C5",), "Which latency regime gains",
            "The gain from the relaxed to the tight end of the range in which both serve, evenly "
            "in interactivity; dotted lines mark thirds."),
    Picture("piggybacking", pictures.piggybacking_figure, ("C6",), "Latent attention and chunks",
            "Frontiers of both co-located modes together, of piggybacking, and disaggregated."),
    Picture("patterns", pictures.patterns_figure, ("C7",), "Where piggybacking is best",
            "Throughput of piggybacking over that of the better co-located mode."),
    Picture("cpp", pictures_pools.cpp_figure, ("C8",), "Chunked pipelines",
            "For each PP, the chunk of least FTL among those that keep throughput."),
    Picture("strict", pictures_pools.strict_figure, ("C9",), "Strict first-token latency",
            "Algorithm 1's choice under a tightening cutoff, and what the cutoff costs."),
    Picture("trends", pictures_pools.trends_figure, ("C10", "C11", "C12"), "Decode designs",
            "The decode design behind every point of the disaggregated frontier."),
    Picture("ratio", pictures_pools.ratio_figure, ("C14",), "The ratio of the pools",
            "Prefill GPUs over decode GPUs at balance, from the relaxed end of each frontier."),
    Picture("fixed", pictures_pools.fixed_figure, ("C15",), "Fixed ratios",
            "The same pools with a fixed ratio of GPUs; the faster pool then idles."),
    Picture("domain", pictures_pools.domain_figure, ("C17",), "Scale-up domain",
            "Disaggregated frontiers with an NVLink domain of 8 and of 72 GPUs."),
    Picture("egress", pictures_pools.egress_figure, ("C18",), "KV egress",
            "Cache that leaves each prefill GPU while prompts stream back to back."),
    Picture("flow", pictures_pools.flow_figure, ("C20",), "KV transfer",
            "Sustained flow at rate match, without an FTL cutoff."),
    Picture("lengths", pictures_pools.lengths_figure, ("C22",), "Lengths that vary",
            "Independent log-normal ISL and OSL with the medians 4096 and 512."),
    Picture("caps", pictures_pools.caps_figure, ("C23",), "Few GPUs",
            "Exact integer matching under a cap on all GPUs."),
)  # fmt: skip


def picture_of(claim: str) -> Picture:
    """The picture behind a claim."""
    return next(picture for picture in PICTURES if claim in picture.claims)


def draw(picture: Picture, study: Study, setting: Setting) -> bytes:
    """A picture as SVG."""
    import matplotlib as mpl

    from jaxsim.view.figures.style import STYLE, image

    with mpl.rc_context(STYLE):
        figure = picture.draw(study, setting)
        return image(figure, "svg")
