-- What of the outbox a person should hear of (docs/decisions/0041-notifications.md).

-- When an event was recorded that tells of it. Null: not yet.
alter table :"schema".parked_key add column told_at timestamptz;

create index parked_key_untold on :"schema".parked_key (at) where told_at is null;

-- Records an event of topic moca.notifications for each parked key that nobody was told of, in the transaction that notes so: each is
-- told once. Answer: how many. Not of a key of the notifications themselves: that would be told, and parked, for ever.
create function :"schema".tell_parked_keys() returns integer
language plpgsql volatile
set search_path = pg_catalog, :"schema", pg_temp
as $$
declare
  news json;
begin
  with due as (
    select sink, lane, key, first_seq from parked_key where told_at is null order by at limit 100 for update skip locked
  ), told as (
    update parked_key k set told_at = clock_timestamp()
    from due d where k.sink = d.sink and k.lane = d.lane and k.key = d.key and k.first_seq = d.first_seq
    returning k.*
  )
  select json_agg(
    json_build_object(
      'topic', 'moca.notifications', 'event_type', 'outbox.key_parked', 'source', 'moca', 'site', o.site,
      'data', json_build_object(
        'sink', t.sink, 'lane', t.lane, 'key', t.key, 'reason', t.reason, 'error', t.error, 'at', t.at,
        'topic', o.topic, 'type', o.type, 'id', o.id))
    order by t.at)
  into news
  from told t left join outbox o on o.lane = t.lane and o.seq = t.first_seq
  where o.topic is distinct from 'moca.notifications';
  if news is null then return 0; end if;
  perform record(news::text);
  return json_array_length(news);
end
$$;

revoke execute on function :"schema".tell_parked_keys() from public;
