-- Relays that are alive.
select id, host, pid, started_at from :"schema".relay where alive_until > clock_timestamp() order by started_at
