"""Districts made truth first: input files in the banks' own formats and, apart from them, the answer key.

The independent oracle: it imports no part of the engine it tests and computes with its own arithmetic what is due.
"""

from simulation.district import DEFAULT_START, District, simulate
from simulation.span import SimulationRefused
from simulation.writing import Written, write_district

__all__ = ["DEFAULT_START", "District", "SimulationRefused", "Written", "simulate", "write_district"]
