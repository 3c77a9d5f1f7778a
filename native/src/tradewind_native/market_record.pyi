from typing import Any

import numpy as np

MARKET_RECORD: np.dtype[Any]
"""The record's dtype, with the offsets of the C struct."""
