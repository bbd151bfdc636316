-- Relays that are alive.
select id, host, pid, started_at from :"schema".relay r where :"schema".is_alive(r) order by started_at
