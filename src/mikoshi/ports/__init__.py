"""The protocols at which the engine meets the world, one a file. No implementation lives here."""
