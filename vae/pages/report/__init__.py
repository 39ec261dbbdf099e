"""The report of a run, or of several: one page with all that is known of them."""
