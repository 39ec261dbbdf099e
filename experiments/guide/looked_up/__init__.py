"""What the guide's pages look up in the code: tables, and what commands print."""
