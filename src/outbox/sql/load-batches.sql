-- Batches of a lane that are sent again. $1 sink, $2 lane, $3 from n on, $4 at most so many.
select
  b.lane, b.n, b.epoch as batch_epoch, b.after_seq, b.upto_seq, b.ends_window, b.rows, encode(b.digest, 'hex') as digest,
  b.subscriptions, b.unparked_key, b.catch_up, b.at,
  f.id as from_id, f.snapshot::text as from_snapshot, f.low as from_low, f.high as from_high,
  t.id as to_id, t.snapshot::text as to_snapshot, t.low as to_low, t.high as to_high
from :"schema".outbox_batch b
left join :"schema".tick f on f.id = b.from_tick
left join :"schema".tick t on t.id = b.to_tick
where b.sink = $1 and b.lane = $2 and b.n >= $3
order by b.n
limit $4
