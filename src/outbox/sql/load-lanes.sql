-- Where lanes of a sink stand: the last batch of each, the last one of its own windows (that is not for a subscription that catches up),
-- the ticks of that one, and whether the last batch is known to have been taken.
-- $1 sink, $2 lanes. Relies on the primary key of outbox_batch, read from its end.
select
  l.lane, l.epoch, last.n, encode(last.digest, 'hex') as digest, a.n is not null as is_acked,
  b.after_seq, b.upto_seq, b.ends_window,
  f.id as from_id, f.snapshot::text as from_snapshot, f.low as from_low, f.high as from_high,
  t.id as to_id, t.snapshot::text as to_snapshot, t.low as to_low, t.high as to_high
from :"schema".lease l
left join lateral (
  select n, digest from :"schema".outbox_batch b where b.sink = l.sink and b.lane = l.lane order by b.n desc limit 1
) last on true
left join :"schema".outbox_ack a on a.sink = l.sink and a.lane = l.lane and a.n = last.n
left join lateral (
  select * from :"schema".outbox_batch b
  where b.sink = l.sink and b.lane = l.lane and b.catch_up is null
  order by b.n desc limit 1
) b on true
left join :"schema".tick f on f.id = b.from_tick
left join :"schema".tick t on t.id = b.to_tick
where l.sink = $1 and l.lane = any ($2::smallint[])
