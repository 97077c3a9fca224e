"""Spellings of endpoints, and what must become of each: the corpus of promise 13.

`NAMES` resolve to hosts that are looked up when they are dialled, `LITERALS` to addresses that the
policy judges on save, `REFUSED` never get that far. All three are data; `test_url_corpus` judges
each here, `tests/contract/upstream/test_no_connection` with a real client and real listeners.
"""

from tests.unit.upstream.url_corpus.literals import LITERALS, Verdict
from tests.unit.upstream.url_corpus.names import NAMES, QUERIES
from tests.unit.upstream.url_corpus.refused import REFUSED

__all__ = ["LITERALS", "NAMES", "QUERIES", "REFUSED", "Verdict"]
