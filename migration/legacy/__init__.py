"""What the migration needs on the legacy database: installed and taken off again."""
