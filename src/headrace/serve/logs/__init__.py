"""What was served, in files of the contract's tables, and how a user leaves them."""
