-- From which batch on an operator wants lanes to be sent again, and the last wish that says so. $1 sink.
select lane, min(from_n) as from_n, max(id) as last_id from :"schema".redrive where sink = $1 and done_at is null group by lane
