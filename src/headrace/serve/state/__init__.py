"""What the server knows of users at this moment, and where it lies."""
