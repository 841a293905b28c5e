"""One model over many processes: its layers cut by heads and columns, its depth by stages, its batches by rows."""
