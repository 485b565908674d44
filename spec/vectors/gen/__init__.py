"""What makes the test vectors: one module for each area, one function for each file."""
