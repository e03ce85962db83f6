"""What is said of a solution in words and numbers."""
