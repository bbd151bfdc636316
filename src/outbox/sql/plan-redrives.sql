-- What `moca outbox redrive` means for each lane that ever sent anything. $1 instant, $2 sink (null: all).
-- from_n: the first batch at or after the instant, one more than the last where there is none. What the sink forgot is known where the lane
-- stands still because of it (found): missing = all of it, older = what of it is not to be sent.
select
  l.sink, l.lane, l.n, l.from_n, l.reason, l.found,
  b.missing_batches, b.missing_rows, b.older_batches, b.older_rows
from (
  select
    b.sink, b.lane, max(b.n) as n, coalesce(min(b.n) filter (where b.at >= $1), max(b.n) + 1) as from_n, s.reason, s.found
  from :"schema".outbox_batch b
  left join :"schema".standstill s on s.sink = b.sink and s.lane = b.lane
  where $2::text is null or b.sink = $2
  group by b.sink, b.lane, s.reason, s.found
) l
cross join lateral (
  select
    count(*) as missing_batches, coalesce(sum(b.rows), 0) as missing_rows,
    count(*) filter (where b.n < l.from_n) as older_batches, coalesce(sum(b.rows) filter (where b.n < l.from_n), 0) as older_rows
  from :"schema".outbox_batch b
  where l.reason = 'forgot' and b.sink = l.sink and b.lane = l.lane and b.n > l.found
) b
order by l.sink, l.lane
