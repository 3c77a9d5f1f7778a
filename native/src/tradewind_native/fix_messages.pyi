from tradewind_native.fix_records import ExecutionReport

def read_execution_report(message: bytes, price_precision: int, quantity_precision: int) -> ExecutionReport:
    """Read one whole ExecutionReport, its BodyLength and CheckSum checked; decimals are exact or refused.

    Raises:
        FixMessageError: the bytes are no such message, or a number does not fit the precision; it says which.
    """
