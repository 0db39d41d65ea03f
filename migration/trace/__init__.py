"""What is known of one request, by its correlation id (`banyan trace`): readers, one per source, and what their lines amount to.

    timeline   the shape of an answer       verdict    what became of each write       inquiry   asks every source once
    access, events, control, sides          one source each; `database` is how the last two ask

Nothing here writes, takes a lock that anybody waits for, or shows a column's value.
"""
