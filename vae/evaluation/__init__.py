"""What a trained model achieves, and where the rest is lost: one question a file."""
