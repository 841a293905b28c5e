"""What was said of items since the build: put, withdrawn, filtered, searched."""
