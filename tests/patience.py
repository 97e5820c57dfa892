"""What a busy machine adds to a time that is promised: tests run four at once, on two cores or less."""

BUSY = 5.0  # seconds; what is told apart takes half a minute or more where it goes wrong
