# SPDX-License-Identifier: Apache-2.0
"""libqosbatch: before every inference round, the batch size that keeps a latency promise at the lowest cost.

The classes here are the library's objects; structs and enumerations have the names and members of the C interface
(qb_service_plan is ServicePlan), with times in ns. A call that fails raises Error with the library's message.
qosbatch.native has every function of the interface."""
from . import native
from .binding import Error
from .handles import Context, Handle, Model, Node, Profile
from .native import *  # noqa: F403 - structs, enumerations, exceptions
from .planning import (Catalogue, Participant, job_frontier, mitigations, place_job, place_service, plan_job,
                       plan_service, service_frontier, simulate, verify)
from .rounds import Optimizer, Session, explain

__version__ = native.qb_version().decode()
__all__ = ["Catalogue", "Context", "Error", "Handle", "Model", "Node", "Optimizer", "Participant", "Profile", "Session",
           "explain", "job_frontier", "mitigations", "native", "place_job", "place_service", "plan_job",
           "plan_service", "service_frontier", "simulate", "verify", *native.__all__]
