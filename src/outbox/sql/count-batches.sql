-- Rows in batches of a lane. $1 sink, $2 lane, $3 after n, $4 up to n.
select coalesce(sum(rows), 0)::bigint as rows from :"schema".outbox_batch where sink = $1 and lane = $2 and n > $3 and n <= $4
