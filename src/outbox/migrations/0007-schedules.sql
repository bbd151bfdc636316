-- Schedules of run time, and what somebody enabled or disabled: Redis may forget (docs/decisions/0054-schedules-outlive-redis.md).
create table :"schema".schedule (
  name text primary key,
  -- As it stands in Redis. Null: it is the configuration's, or was removed.
  definition text,
  is_enabled boolean not null default true,
  -- An older Redis may still have it: it is removed there, too.
  removed_at timestamptz,
  changed_at timestamptz not null default clock_timestamp()
);
