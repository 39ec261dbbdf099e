"""What the README says of evaluations."""
