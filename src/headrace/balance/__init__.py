"""Several tasks to weights, from gradients or losses."""
