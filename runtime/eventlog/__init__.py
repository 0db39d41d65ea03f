"""The event log: what moves between processes, kept until every group of consumers has seen it (docs/eventlog.md).

`protocol` says what a log promises; `redis_log` keeps that over Redis or Valkey, `memory` inside one process.
"""
