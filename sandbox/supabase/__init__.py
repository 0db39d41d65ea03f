"""The Supabase stand-in: REST, Auth, Storage and a Realtime socket over the sandbox's real PostgreSQL.

A stand-in, not PostgREST, never for production. It listens on loopback only, labels every answer with
`X-Banyan-Standin: 1`, and answers 400 PGRST127 to what it does not know. docs/standin.md says what it proves.
"""
