"""Many models at once, as one batched computation."""
