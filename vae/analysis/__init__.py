"""What a trained model is worth, and how its gradients are: numbers and figures."""
