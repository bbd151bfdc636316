-- Wishes to send again what a sink forgot that are not fulfilled, oldest first.
select id, sink, lane, from_n, wished_by, at from :"schema".redrive where done_at is null order by id
