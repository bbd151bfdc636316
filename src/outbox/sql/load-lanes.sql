-- Where lanes of a sink stand: the last batch of each, its ticks, and whether it is known to have been taken.
-- $1 sink, $2 lanes. Relies on the primary key of outbox_batch, read from its end.
select
  l.lane, l.epoch, b.n, b.epoch as batch_epoch, b.after_seq, b.upto_seq, b.ends_window, b.rows, encode(b.digest, 'hex') as digest,
  b.subscriptions, b.unparked_key, b.at, a.n is not null as is_acked,
  f.id as from_id, f.snapshot::text as from_snapshot, f.low as from_low, f.high as from_high,
  t.id as to_id, t.snapshot::text as to_snapshot, t.low as to_low, t.high as to_high
from :"schema".lease l
left join lateral (
  select * from :"schema".outbox_batch b where b.sink = l.sink and b.lane = l.lane order by b.n desc limit 1
) b on true
left join :"schema".outbox_ack a on a.sink = l.sink and a.lane = l.lane and a.n = b.n
left join :"schema".tick f on f.id = b.from_tick
left join :"schema".tick t on t.id = b.to_tick
where l.sink = $1 and l.lane = any ($2::smallint[])
