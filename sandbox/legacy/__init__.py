"""The Supabase project of the sandbox: its schema as the owner has it, before the migration."""
