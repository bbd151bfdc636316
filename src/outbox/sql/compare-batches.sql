-- Batches of a lane, and whether the log plainly gives the rows that were sent: their number and their digest (digest.ts). What is not the
-- same here (a batch of parked rows, a window across two lives of the log, a loss) is read by whoever knows all of that.
-- $1 sink, $2 lane, $3 from n on, $4 up to n, $5 most. Relies on the primary key (lane, seq) and the index outbox_late, as relays do.
select b.n, b.rows, x.rows = b.rows and x.digest = encode(b.digest, 'hex') as is_same
from (
  select * from :"schema".outbox_batch where sink = $1 and lane = $2 and n >= $3 and n <= $4 order by n limit $5
) b
left join :"schema".tick f on f.id = b.from_tick
left join :"schema".tick t on t.id = b.to_tick
cross join lateral (
  select
    count(*) as rows,
    left(encode(sha256(convert_to(coalesce(string_agg(o.seq::text, ',' order by o.seq), ''), 'UTF8')), 'hex'), 24) as digest
  from (
    select o.seq
    from :"schema".outbox o
    where o.lane = b.lane and o.seq > greatest(b.after_seq, coalesce(f.low, 0)) and o.seq <= least(b.upto_seq, t.high)
      and o.xid >= coalesce(pg_snapshot_xmax(f.snapshot), '1') and pg_visible_in_snapshot(o.xid, t.snapshot)
    union all
    select o.seq
    from :"schema".outbox o
    where o.lane = b.lane and o.xid = any (array(select pg_snapshot_xip(f.snapshot))) and o.seq > b.after_seq and o.seq <= least(b.upto_seq, t.high)
      and pg_visible_in_snapshot(o.xid, t.snapshot)
  ) o
  where not exists (select from :"schema".parked p where p.sink = b.sink and p.lane = b.lane and p.seq = o.seq and p.n = b.n)
) x
order by b.n
