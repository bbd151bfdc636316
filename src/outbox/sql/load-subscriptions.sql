-- The set of subscriptions of a version, with where each starts. $1 version; null: the present one, which the answer tells.
select
  v.version, s.name, s.since, s.definition, s.start_snapshot::text,
  (select t.snapshot::text from :"schema".tick t where t.id = s.past_tick) as past_snapshot,
  (select json_object_agg(l.lane, l.joined_n) from :"schema".subscription_lane l where l.name = s.name and l.since = s.since) as joined
from (select coalesce($1::bigint, :"schema".subscription_version()) as version) v
left join :"schema".subscription s on s.from_version <= v.version and (s.to_version is null or s.to_version > v.version)
order by s.name
