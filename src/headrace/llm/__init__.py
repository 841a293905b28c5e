"""Language models that read items, users and conversations: local files and hosted servers behind one cached, budgeted layer."""
