"""Evaluation of trained models, and of their gradients: numbers and figures."""
