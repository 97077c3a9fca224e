"""The chunks of a streamed chat completion, folded into the completion that they add up to.

What an upstream streamed is stored, and told, as if it had not been streamed: the worker folds the
chunks of a call into its result, and the registry folds a stored log. Nothing here raises, whatever
the chunks hold: they come from strangers. Of choices, calls and fields, the surplus over what any
server sends is left out: 8 MiB of `{"index":1},…` would become 200 MB.
"""

from shared.chunks._calls import MOST_CALLS, CallPlaces
from shared.chunks._fold import MOST_CHOICES, Fold, folded, is_usage_only

__all__ = ["MOST_CALLS", "MOST_CHOICES", "CallPlaces", "Fold", "folded", "is_usage_only"]
