"""What searches are made of: samplers, which choose values, and pruners, which end a trial early."""
