"""Which encoder does a multimodal config.json have for images?"""

import math
from pathlib import Path

from jaxsim.catalog._config_keys import Config
from jaxsim.catalog.errors import InputError
from jaxsim.catalog.model import Encoder

# Where a model takes images of any size, one of so many pixels stands for them.
USUAL_PIXELS = 1024.0 * 1024.0
_KEYS = {
    "layers": ("depth", "num_hidden_layers", "vt_num_hidden_layers"),
    "hidden": ("hidden_size", "vt_hidden_size", "embed_dim"),
    "intermediate": ("intermediate_size", "vt_intermediate_size"),
    "heads": ("num_heads", "num_attention_heads", "vt_num_attention_heads"),
}


def encoder_of(outer: dict[str, object], path: Path) -> Encoder | None:
    """The encoder of `vision_config`; None without one that is understood.

    Tokens of an image: as many as the config says, or one for each square of patches that merges.
    """
    raw = outer.get("vision_config")
    if not isinstance(raw, dict):
        return None
    config = Config(path, raw)
    numbers = {}
    for name, keys in _KEYS.items():
        key = next((key for key in keys if isinstance(raw.get(key), (int, float))), None)
        if key is None:
            return None
        try:
            numbers[name] = config.positive(key)
        except InputError:
            return None
    patch = raw.get("patch_size")
    patch = patch[0] if isinstance(patch, list) and patch else patch
    if not isinstance(patch, (int, float)) or not patch > 0:
        return None
    size = raw.get("image_size")
    size = size[0] if isinstance(size, list) and size else size
    pixels = float(size) ** 2 if isinstance(size, (int, float)) and size > 0 else USUAL_PIXELS
    patches = math.floor(pixels / float(patch) ** 2)
    stated = outer.get("mm_tokens_per_image") or outer.get("vision_soft_tokens_per_image")
    pooled = raw.get("pooling_kernel_size")
    if isinstance(stated, int) and isinstance(pooled, int):
        patches = stated * pooled**2
    merge = raw.get("spatial_merge_size") or outer.get("spatial_merge_size")
    merge = merge if isinstance(merge, (int, float)) else 2
    tokens = stated if isinstance(stated, int) and stated > 0 else patches / float(merge) ** 2
    if patches < 1 or not 1 <= tokens <= patches:
        return None
    gated = 3.0 if str(raw.get("hidden_act", "gelu")) in ("silu", "swiglu") else 2.0
    return Encoder(
        **numbers, matrices=gated, patches=float(patches), tokens=float(math.floor(tokens))
    )
