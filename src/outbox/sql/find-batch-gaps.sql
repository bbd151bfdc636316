-- Numbers that are missing between the batches of a lane. $1 sink, $2 lane, $3 instant: what came before it may have been pruned.
-- Before the first batch the log was made.
select before_n + 1 as from_n, n - 1 as upto_n
from (
  select
    n, lag(n, 1, 0::bigint) over (order by n) as before_n,
    lag(at, 1, (select created_at from :"schema".deployment)) over (order by n) as before_at
  from :"schema".outbox_batch
  where sink = $1 and lane = $2
) b
where n > before_n + 1 and before_at >= $3
order by n
