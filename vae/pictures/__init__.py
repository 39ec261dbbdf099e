"""Pictures of a trained model, each one that could stand in a paper."""
