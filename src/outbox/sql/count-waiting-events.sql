-- Recorded events that a sink has not taken yet, by what decides who gets them. $1 sink.
-- What waits is told as in list-lanes.sql, without what is parked or under way beside the lane's windows.
select o.topic, o.type, o.site, o.doctype, count(*) as events, min(o.at) as oldest_at
from generate_series(0, 15) of_lane
left join :"schema".lease l on l.sink = $1 and l.lane = of_lane
left join lateral (
  select b.*, not exists (
    select from :"schema".outbox_ack a where a.sink = b.sink and a.lane = b.lane and a.n = b.n
  ) and not exists (
    select from :"schema".outbox_batch later where later.sink = b.sink and later.lane = b.lane and later.n > b.n
  ) as is_under_way
  from :"schema".outbox_batch b
  where b.sink = l.sink and b.lane = l.lane and b.catch_up is null and b.unparked_key is null
  order by b.n desc limit 1
) b on true
left join :"schema".tick f on f.id = b.from_tick
left join :"schema".tick t on t.id = b.to_tick
cross join lateral (
  select
    case when b.ends_window and not b.is_under_way then t.snapshot else f.snapshot end as snapshot,
    coalesce(case when b.ends_window and not b.is_under_way then t.low else f.low end, 0) as low,
    coalesce(case when b.ends_window and not b.is_under_way then t.high else f.high end, 0) as high,
    case when b.is_under_way then b.after_seq when not b.ends_window then b.upto_seq end as sent_seq,
    coalesce((select max(floor_seq) from :"schema".rebase where floor_seq <= t.high), 0) as floor
) g
cross join lateral (
  select o.*
  from :"schema".outbox o
  where o.lane = of_lane and o.seq > g.low and (o.seq > g.high or o.xid >= coalesce(pg_snapshot_xmax(g.snapshot), '1'))
  union all
  select o.*
  from :"schema".outbox o
  where o.lane = of_lane and o.xid = any (array(select pg_snapshot_xip(g.snapshot))) and o.seq <= g.high
    and o.seq > coalesce((select max(floor_seq) from :"schema".rebase where floor_seq <= g.high), 0)
) o
where o.kind = 'e'
  and (o.seq <= g.sent_seq and (o.seq <= g.floor or (o.seq <= t.high and pg_visible_in_snapshot(o.xid, t.snapshot)))) is not true
  and not exists (select from :"schema".parked k where k.sink = $1 and k.lane = of_lane and k.seq = o.seq)
group by o.topic, o.type, o.site, o.doctype
