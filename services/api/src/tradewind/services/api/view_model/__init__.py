"""What the page shows, in memory from the bus and in the store, and the shapes in which it is told."""
