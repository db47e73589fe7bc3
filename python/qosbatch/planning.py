# SPDX-License-Identifier: Apache-2.0
"""Decisions taken once: plans of jobs and services, here, on bought nodes, and over several nodes."""
from __future__ import annotations

import ctypes
import os
import typing
from collections.abc import Sequence

import numpy as np

from . import native
from .handles import Context, Handle, Node, Path, Profile, default_context, describe, describe_all, optional

Profiles = typing.Union[Profile, Sequence[Profile]]


class Catalogue(Handle):
    """Node types that can be bought, and their prices."""
    _type, _free = native.qb_catalogue, staticmethod(native.qb_catalogue_unref)

    @classmethod
    def load(cls, path: Path, context: Context | None = None) -> Catalogue:
        context = context or default_context()
        return cls(native.qb_catalogue_load, context, os.fsencode(path), keep=(context,))

    @property
    def info(self) -> native.CatalogueInfo:
        return describe(native.CatalogueInfo, native.qb_catalogue_get_info, self)

    @property
    def types(self) -> list[native.NodeType]:
        return list(describe_all(native.NodeType, native.qb_catalogue_get_type, self))


class _JobFrontier(Handle):
    _type, _free = native.qb_job_frontier, staticmethod(native.qb_job_frontier_free)


class _ServiceFrontier(Handle):
    _type, _free = native.qb_service_frontier, staticmethod(native.qb_service_frontier_free)


def _profiles(profiles: Profiles) -> tuple[typing.Any, int]:
    given = [profiles] if isinstance(profiles, Profile) else list(profiles)
    pointers = [profile._as_parameter_ for profile in given]
    return (ctypes.POINTER(native.qb_profile) * len(pointers))(*pointers), len(pointers)


def _plan(struct: typing.Any, call: typing.Any, profiles: Profiles, demand: typing.Any, qos: native.Qos | None,
          catalogue: Catalogue | None) -> typing.Any:
    first = () if catalogue is None else (catalogue,)
    plan = struct()
    call(*first, *_profiles(profiles), ctypes.byref(demand), optional(qos), ctypes.byref(plan), None)
    return plan


def _frontier(handle: typing.Any, struct: typing.Any, call: typing.Any, get: typing.Any, profiles: Profiles,
              demand: typing.Any, qos: native.Qos | None, catalogue: Catalogue | None) -> typing.Any:
    first = () if catalogue is None else (catalogue,)
    with handle(call, *first, *_profiles(profiles), ctypes.byref(demand), optional(qos),
                ctypes.byref(struct())) as frontier:
        return list(describe_all(struct, get, frontier))


def plan_job(profiles: Profiles, job: native.Job, qos: native.Qos | None = None,
             catalogue: Catalogue | None = None) -> native.JobPlan:
    """How to run a job: on the node of one of the profiles, or on bought nodes of a catalogue."""
    return _plan(native.JobPlan, native.qb_plan_job if catalogue is None else native.qb_plan_job_fleet, profiles, job,
                 qos, catalogue)


def plan_service(profiles: Profiles, load: native.Load, qos: native.Qos | None = None,
                 catalogue: Catalogue | None = None) -> native.ServicePlan:
    """How to run a service: on the node of one of the profiles, or on bought nodes of a catalogue."""
    return _plan(native.ServicePlan, native.qb_plan_service if catalogue is None else native.qb_plan_service_fleet,
                 profiles, load, qos, catalogue)


def job_frontier(profiles: Profiles, job: native.Job, qos: native.Qos | None = None,
                 catalogue: Catalogue | None = None) -> list[native.JobPlan]:
    """The plans of a job that no other beats in time and cost."""
    return _frontier(_JobFrontier, native.JobPlan,
                     native.qb_plan_job if catalogue is None else native.qb_plan_job_fleet,
                     native.qb_job_frontier_get, profiles, job, qos, catalogue)


def service_frontier(profiles: Profiles, load: native.Load, qos: native.Qos | None = None,
                     catalogue: Catalogue | None = None) -> list[native.ServicePlan]:
    """The plans of a service worth choosing from."""
    return _frontier(_ServiceFrontier, native.ServicePlan,
                     native.qb_plan_service if catalogue is None else native.qb_plan_service_fleet,
                     native.qb_service_frontier_get, profiles, load, qos, catalogue)


class Participant(typing.NamedTuple):
    """A node that takes part in a placement; the members are those of PlaceNode."""
    profile: Profile
    node: Node | None = None
    speed: float = 1
    memory_bytes: int = 0
    ready_ns: int = 0


def _place(call: typing.Any, nodes: Sequence[Participant], demand: typing.Any, qos: native.Qos | None) -> typing.Any:
    given = native.PlaceNode.array(len(nodes))
    for place, node in zip(given, nodes):
        place.profile = node.profile._as_parameter_
        if node.node is not None:
            place.node = node.node._as_parameter_
        place.speed, place.memory_bytes, place.ready_ns = node.speed, node.memory_bytes, node.ready_ns
    shares, placement = native.Share.array(len(nodes)), native.Placement()
    call(given, len(nodes), ctypes.byref(demand), optional(qos), shares, ctypes.byref(placement))
    return list(shares), placement


def place_job(nodes: Sequence[Participant], job: native.Job,
              qos: native.Qos | None = None) -> tuple[list[native.Share], native.Placement]:
    """Splits a job over nodes so that the last one is done as early as possible."""
    return _place(native.qb_place_job, nodes, job, qos)


def place_service(nodes: Sequence[Participant], load: native.Load,
                  qos: native.Qos | None = None) -> tuple[list[native.Share], native.Placement]:
    """Splits the load of a service over nodes in proportion to what each holds."""
    return _place(native.qb_place_service, nodes, load, qos)


def simulate(profile: Profile, traffic: native.Traffic, qos: native.Qos,
             configuration: native.Configuration | None = None,
             simulation: native.Simulation | None = None) -> native.SimulationReport:
    """A service under load, before it exists. Arrival times of a trace: `traffic.times_ns`."""
    return describe(native.SimulationReport, native.qb_simulate, profile, optional(configuration),
                    ctypes.byref(traffic), ctypes.byref(qos), optional(simulation))


def mitigations(profile: Profile, batch: int,
                configuration: native.Configuration | None = None) -> list[native.Mitigation]:
    """What would make rounds of this batch size faster, the largest gain first."""
    count = ctypes.c_size_t()
    native.qb_mitigations(profile, optional(configuration), batch, None, 0, ctypes.byref(count))
    found = native.Mitigation.array(count.value)
    native.qb_mitigations(profile, optional(configuration), batch, found, count, ctypes.byref(count))
    return list(found)


def verify(latencies_ns: typing.Any, qos: native.Qos, confidence: float = 0.99,
           context: Context | None = None) -> native.Verification:
    """Whether measured latencies prove a promise."""
    values = np.ascontiguousarray(latencies_ns, np.int64)
    return describe(native.Verification, native.qb_verify, context or default_context(),
                    values.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)), len(values), ctypes.byref(qos), confidence)
