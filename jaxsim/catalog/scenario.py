"""What does one evaluation need to know?"""

from jaxsim._record import Record
from jaxsim.catalog.calibration import Kernels
from jaxsim.catalog.deployment import Deployment
from jaxsim.catalog.engine import Engine, Options
from jaxsim.catalog.hardware import Hardware
from jaxsim.catalog.model import Model
from jaxsim.catalog.precision import ElementBytes
from jaxsim.catalog.workload import Workload


class Scenario(Record):
    """Everything that one design point depends on; every leaf is a number that can be swept."""

    model: Model
    element: ElementBytes
    hardware: Hardware
    kernels: Kernels
    engine: Engine
    options: Options
    workload: Workload
    design: Deployment
