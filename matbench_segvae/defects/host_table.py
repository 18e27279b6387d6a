"""The hosts that structures are recognised as supercells of: built in, and from other packages.

Unit cells of MoS2, WSe2, BN, GaSe, InSe and P are those of the 2DMD data set: Huang et al.,
npj 2D Mater. Appl. 7, 6 (2023), doi 10.1038/s41699-023-00369-1. That of graphene has its
measured lattice constant (Castro Neto et al., Rev. Mod. Phys. 81, 109 (2009), doi
10.1103/RevModPhys.81.109), that of 1T-MoS2 the one of PBE (Haastrup et al., 2D Mater. 5,
042002 (2018), doi 10.1088/2053-1583/aacfc1), both rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import entry_points
from types import MappingProxyType

from matbench_segvae.defects.hosts import Host
from matbench_segvae.errors import UserError, one_line

ENTRY_POINTS = "matbench_segvae.hosts"
"""Group of the entry points by which other packages add hosts; each names a :class:`Host`."""

HOSTS: Mapping[str, Host] = MappingProxyType(
    {
        host.name: host
        for host in (
            Host(
                name="MoS2",
                a=3.19031570,
                b=3.19031570,
                gamma=120.0,
                c=14.87900400,
                atoms=(
                    ("Mo", (1 / 3, 2 / 3, 0.25)),
                    ("S", (2 / 3, 1 / 3, 0.144826)),
                    ("S", (2 / 3, 1 / 3, 0.355174)),
                ),
            ),
            Host(
                name="WSe2",
                a=3.32706951,
                b=3.32706951,
                gamma=120.0,
                c=15.06895100,
                atoms=(
                    ("W", (1 / 3, 2 / 3, 0.25)),
                    ("Se", (2 / 3, 1 / 3, 0.361569)),
                    ("Se", (2 / 3, 1 / 3, 0.138431)),
                ),
            ),
            Host(
                name="BN",
                a=2.51242846,
                b=2.51242846,
                gamma=120.0,
                c=20.0,
                atoms=(("B", (1 / 3, 2 / 3, 0.5)), ("N", (2 / 3, 1 / 3, 0.5))),
            ),
            Host(
                name="GaSe",
                a=3.81906671,
                b=3.81906671,
                gamma=120.0,
                c=20.0,
                atoms=(
                    ("Ga", (2 / 3, 1 / 3, 0.38327267)),
                    ("Ga", (2 / 3, 1 / 3, 0.50681713)),
                    ("Se", (1 / 3, 2 / 3, 0.56548028)),
                    ("Se", (1 / 3, 2 / 3, 0.32460952)),
                ),
            ),
            Host(
                name="InSe",
                a=4.09647352,
                b=4.09647352,
                gamma=120.0,
                c=20.0,
                atoms=(
                    ("In", (1 / 3, 2 / 3, 0.52943777)),
                    ("In", (1 / 3, 2 / 3, 0.38773463)),
                    ("Se", (2 / 3, 1 / 3, 0.59281346)),
                    ("Se", (2 / 3, 1 / 3, 0.32435894)),
                ),
            ),
            Host(
                name="P",
                a=3.299918,
                b=4.600926,
                gamma=90.0,
                c=20.0,
                atoms=(
                    ("P", (0.0, 0.588557, 0.20912339)),
                    ("P", (0.0, 0.411443, 0.31443551)),
                    ("P", (0.5, 0.088557, 0.31443551)),
                    ("P", (0.5, 0.911443, 0.20912339)),
                ),
            ),
            Host(
                name="C",
                a=2.46,
                b=2.46,
                gamma=120.0,
                c=20.0,
                atoms=(("C", (1 / 3, 2 / 3, 0.5)), ("C", (2 / 3, 1 / 3, 0.5))),
            ),
            Host(
                name="1T-MoS2",
                a=3.18,
                b=3.18,
                gamma=120.0,
                c=20.0,
                atoms=(
                    ("Mo", (0.0, 0.0, 0.5)),
                    ("S", (1 / 3, 2 / 3, 0.5785)),
                    ("S", (2 / 3, 1 / 3, 0.4215)),
                ),
            ),
        )
    }
)
"""The built-in hosts by name: ``P`` is black phosphorus, ``C`` graphene, ``BN`` hexagonal."""


@lru_cache(maxsize=1)
def known_hosts() -> Mapping[str, Host]:
    """All hosts by name: the built-in ones and those of installed packages.

    Raises:
        UserError: If the entry point of a package cannot be loaded, or is no host.
    """
    found = dict(HOSTS)
    for point in entry_points(group=ENTRY_POINTS):
        try:
            host = point.load()
        # A package may raise anything when it is imported.
        except Exception as error:
            raise UserError(
                f"the host {point.name} ({point.value}) cannot be loaded: {one_line(str(error))}; "
                "mend or uninstall the package that adds it"
            ) from error
        if not isinstance(host, Host):
            raise UserError(f"the host {point.name} ({point.value}) is no matbench_segvae Host")
        found[host.name] = host
    return MappingProxyType(found)
