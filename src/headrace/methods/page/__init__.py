"""A page filled from ranked candidates. Short names as a TOML uses them."""

PAGES = {"explore": "headrace.methods.page.explore:Explore"}
