import numpy as np
import numpy.typing as npt

class RecordArena:
    """Chunks of market records that a decoder writes and readers see as read-only arrays without a copy."""

    def take(self) -> npt.NDArray[np.void]:
        """The pending records as a read-only view of the chunk; none are pending afterwards."""
