-- Subscriptions that begin in the past and have not come to the present of these lanes, and how far they have come: the tick that the past
-- begins after, or the last batch of theirs with its ticks. $1 sink, $2 lanes. Relies on the index outbox_batch_catch_up.
select
  l.lane, s.name, s.since, b.upto_seq, b.ends_window,
  f.id as from_id, f.snapshot::text as from_snapshot, f.low as from_low, f.high as from_high,
  t.id as to_id, t.snapshot::text as to_snapshot, t.low as to_low, t.high as to_high,
  p.id as past_id, p.snapshot::text as past_snapshot, p.low as past_low, p.high as past_high
from unnest($2::smallint[]) as l (lane)
join :"schema".subscription s on s.to_version is null and s.start_snapshot is null
left join :"schema".subscription_lane j on j.name = s.name and j.since = s.since and j.lane = l.lane
left join lateral (
  select * from :"schema".outbox_batch b
  where b.sink = $1 and b.lane = l.lane and b.catch_up = s.name || '@' || s.since
  order by b.n desc limit 1
) b on true
left join :"schema".tick f on f.id = b.from_tick
left join :"schema".tick t on t.id = b.to_tick
left join :"schema".tick p on p.id = s.past_tick
where j.name is null
order by l.lane, s.since
