-- Whether the log can have anything new: a snapshot, and the last seq that was drawn, read while the statement runs, after its snapshot was
-- taken: rows that it does not know cannot be seen. Half the price of a look. For an instant the value may be ahead of what was drawn
-- (last_drawn() says why): then somebody looks, and that is all.
select pg_current_snapshot()::text as snapshot, case when is_called then last_value else last_value - 1 end as drawn from :"schema".outbox_seq
