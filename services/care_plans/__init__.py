"""Care Plans: clinicians' action plans and where their files are."""
