"""The stages joined into one object that trains, evaluates, explains and answers."""
