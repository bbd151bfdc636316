-- The set of subscriptions of a version, with where each starts. $1 version; null: the present one, which the answer tells.
-- high: what the start sees has no higher seq; floor: where the life of the log begins that the start belongs to.
select
  v.version, s.name, s.since, s.definition, s.start_snapshot::text, past.snapshot::text as past_snapshot,
  coalesce(s.start_high, past.high) as high,
  coalesce((select max(r.floor_seq) from :"schema".rebase r where r.floor_seq <= coalesce(s.start_high, past.high)), 0) as floor,
  (select json_object_agg(l.lane, l.joined_n) from :"schema".subscription_lane l where l.name = s.name and l.since = s.since) as joined
from (select coalesce($1::bigint, :"schema".subscription_version()) as version) v
left join :"schema".subscription s on s.from_version <= v.version and (s.to_version is null or s.to_version > v.version)
left join :"schema".tick past on past.id = s.past_tick
order by s.name
