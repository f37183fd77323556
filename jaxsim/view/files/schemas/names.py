"""Which files and outputs have a JSON Schema, and what is it?

`jaxsim schema NAME` prints it. Tests hold what is written, and what is read, to these types.
"""

import msgspec

from jaxsim.view.files.schemas.catalogue import (
    HARDWARE_FILE,
    MODEL_FILE,
    HardwareCard,
    HardwareList,
    ModelCard,
    Models,
    TraceEvents,
)
from jaxsim.view.files.schemas.measured import Claim, Comparison, Held, Study, Validation
from jaxsim.view.files.schemas.plan import Mix, Plan
from jaxsim.view.files.schemas.sensitivity import Sensitivity
from jaxsim.view.files.schemas.served import (
    Deployment,
    Estimate,
    Frontiers,
    Search,
    Traffic,
    UnderLoad,
)

FILES: dict[str, tuple[object, str]] = {
    "plan": (Plan, "plan.json, as `jaxsim plan -o DIR` writes and `jaxsim deploy` reads it"),
    "mix": (Mix, "the JSON form of a mix of workloads, as `jaxsim plan --mix FILE` reads it"),
    "sensitivity": (Sensitivity, "sensitivity.json, as `jaxsim sensitivity -o DIR` writes it"),
    "claims": (list[Claim], "claims.json, as `jaxsim reproduce -o DIR` writes it"),
    "study": (Study, "what `jaxsim reproduce --format json` prints"),
    "validation": (Validation, "validation.json, as `jaxsim validate -o DIR` writes it"),
    "held": (Held, "what `jaxsim validate RESULT --plan plan.json --format json` prints"),
    "compare": (Comparison, "what `jaxsim compare PLAN FOUND --format json` prints"),
    "estimate": (Estimate, "what `jaxsim estimate --format json` prints of one design"),
    "load": (UnderLoad, "what `jaxsim estimate --concurrency N --format json` prints"),
    "search": (Search, "what `jaxsim search --format json` prints"),
    "frontier": (Frontiers, "what `jaxsim frontier --format json` prints"),
    "traffic": (Traffic, "traffic.json, as `jaxsim traffic -o DIR` writes it"),
    "trace-events": (TraceEvents, "what `jaxsim traffic --trace-events FILE` writes"),
    "models": (Models, "what `jaxsim models --format json` prints"),
    "model": (ModelCard, "what `jaxsim models NAME --format json` prints"),
    "hardware": (HardwareList, "what `jaxsim hardware --format json` prints"),
    "chip": (HardwareCard, "what `jaxsim hardware NAME --format json` prints"),
    "model-file": (
        MODEL_FILE,
        "a model's TOML, as `jaxsim import model` writes it",
    ),
    "hardware-file": (HARDWARE_FILE, "a TOML file of hardware, as --hardware reads it"),
    "deployment": (Deployment, "deploy.json, as `jaxsim deploy -o DIR` writes and reads it"),
}


def schema_of(name: str) -> dict[str, object]:
    """The JSON Schema (2020-12) of a file."""
    kind, title = FILES[name]
    own = msgspec.json.schema(kind)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **own}
