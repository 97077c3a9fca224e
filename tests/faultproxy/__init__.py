"""A TCP proxy that breaks connections as networks do; what it does is switched while it runs.

What a test cannot break this way is what a kernel does alone: a packet that is never acknowledged.
"""

from tests.faultproxy._connection import PASS, Address, Way
from tests.faultproxy._proxy import FaultProxy, fault_proxy

__all__ = ["PASS", "Address", "FaultProxy", "Way", "fault_proxy"]
