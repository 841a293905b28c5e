"""How rankers that read read: tokens of items, a user's sessions of them, and the few vectors that are stored of both sides."""
