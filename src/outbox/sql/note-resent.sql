-- Writes down that batches were sent again, because the sink forgot them. $1 sink, $2 lane, $3 from n, $4 upto n, $5 rows.
-- Wishes of an operator that are fulfilled by it end.
with fulfilled as (
  update :"schema".redrive set done_at = clock_timestamp()
  where sink = $1 and lane = $2 and done_at is null and from_n >= $3
)
insert into :"schema".resent (sink, lane, from_n, upto_n, rows) values ($1, $2, $3, $4, $5)
