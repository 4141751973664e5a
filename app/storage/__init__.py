"""The database: its schema, one writer, many readers, and upgrades."""
