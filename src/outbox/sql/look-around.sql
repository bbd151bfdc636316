-- What a relay is to know once in a while, in one call: takes free lanes or gives up some (see share_lanes), and says which statements would
-- find something. $1 relay, $2 sink, $3 lanes that may be given up, $4 the log's id.
select
  :"schema".share_lanes($1, $2, $3::smallint[], $4::uuid) as lanes,
  :"schema".subscription_version() as subscriptions,
  exists (select from :"schema".parked_key where sink = $2 and freed_at is null) as has_parked_keys,
  exists (
    select from :"schema".subscription s
    where s.to_version is null and s.start_snapshot is null
      and (select count(*) from :"schema".subscription_lane j where j.name = s.name and j.since = s.since) < 16) as has_catch_ups,
  exists (select from :"schema".redrive where sink = $2 and done_at is null) as has_redrives
