"""From a model that says what comes next to whole answers."""
