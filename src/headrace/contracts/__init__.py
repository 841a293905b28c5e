"""The words everybody shares. No torch at run time, no I/O."""
