-- The first batch of a lane at or after an instant, 0: none. $1 sink, $2 lane, $3 instant.
select coalesce(min(n), 0) as n from :"schema".outbox_batch where sink = $1 and lane = $2 and at >= $3
