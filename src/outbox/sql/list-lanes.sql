-- The lanes of all sinks: who owns each, how far it has come, why it stands still, how many rows wait for it and since when. A row waits
-- until its batch is known to have been taken; rows of parked keys are counted elsewhere.
-- What waits is what the beginning of the lane's window does not see, without what of the window has been sent (decision 0031, and 0039
-- for floors): the first branch reads the primary key (lane, seq) from there on, the second the index outbox_late.
select
  l.sink, l.lane, l.epoch, l.relay, r.id is not null and :"schema".is_alive(r) as is_owned, l.since as owned_since,
  coalesce(last.n, 0) as n, encode(last.digest, 'hex') as digest, last.n is null or a.n is not null as is_acked, last.at as intended_at,
  w.rows + case when p.is_other then last.rows else 0 end as waiting,
  least(w.oldest, case when p.is_other then last.at end) as oldest_at,
  s.reason, s.found, s.expected, s.since as standing_since
from :"schema".lease l
left join :"schema".relay r on r.id = l.relay
left join :"schema".standstill s on s.sink = l.sink and s.lane = l.lane
left join lateral (
  select b.n, b.digest, b.at, b.rows from :"schema".outbox_batch b where b.sink = l.sink and b.lane = l.lane order by b.n desc limit 1
) last on true
left join :"schema".outbox_ack a on a.sink = l.sink and a.lane = l.lane and a.n = last.n
-- The last batch of the lane's own windows.
left join lateral (
  select * from :"schema".outbox_batch b
  where b.sink = l.sink and b.lane = l.lane and b.catch_up is null
  order by b.n desc limit 1
) b on true
-- Under way: a batch of the window, which counts as not sent, or another one, of parked rows or for a subscription that catches up.
cross join lateral (
  select
    last.n = b.n and a.n is null and b.unparked_key is null is true as is_under_way,
    last.n is not null and a.n is null and (last.n is distinct from b.n or b.unparked_key is not null) as is_other
) p
left join :"schema".tick f on f.id = b.from_tick
left join :"schema".tick t on t.id = b.to_tick
cross join lateral (
  select
    case when b.ends_window and not p.is_under_way then t.snapshot else f.snapshot end as snapshot,
    coalesce(case when b.ends_window and not p.is_under_way then t.low else f.low end, 0) as low,
    coalesce(case when b.ends_window and not p.is_under_way then t.high else f.high end, 0) as high,
    -- Of the window up to `t`, what has been sent.
    case when p.is_under_way then b.after_seq when not b.ends_window then b.upto_seq end as sent_seq,
    coalesce((select max(floor_seq) from :"schema".rebase where floor_seq <= t.high), 0) as floor
) g
cross join lateral (
  select count(*) as rows, min(o.at) as oldest
  from (
    select o.seq, o.xid, o.at
    from :"schema".outbox o
    where o.lane = l.lane and o.seq > g.low and (o.seq > g.high or o.xid >= coalesce(pg_snapshot_xmax(g.snapshot), '1'))
    union all
    select o.seq, o.xid, o.at
    from :"schema".outbox o
    where o.lane = l.lane and o.xid = any (array(select pg_snapshot_xip(g.snapshot))) and o.seq <= g.high
      and o.seq > coalesce((select max(floor_seq) from :"schema".rebase where floor_seq <= g.high), 0)
  ) o
  where (o.seq <= g.sent_seq and (o.seq <= g.floor or (o.seq <= t.high and pg_visible_in_snapshot(o.xid, t.snapshot)))) is not true
    and not exists (select from :"schema".parked k where k.sink = l.sink and k.lane = l.lane and k.seq = o.seq)
) w
order by l.sink, l.lane
