"""A build's scorers as a server runs them: exported, with their users' states kept."""
