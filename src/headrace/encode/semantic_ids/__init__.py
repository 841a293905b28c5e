"""Items as short codes that carry meaning: like items share their first codes."""
