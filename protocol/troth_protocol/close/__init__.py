"""What all agree on: reports, the agreement, the cut, its execution, seals."""
