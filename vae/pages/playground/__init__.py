"""The estimator playground: gradient estimates, drawn in a browser, beside the exact gradient."""
