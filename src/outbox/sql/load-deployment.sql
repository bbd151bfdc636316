-- Whose log this is, whether it is still in the cluster that its transaction ids are from, and where lives of the log ended.
select
  log_id, namespace, system_identifier = (pg_control_system()).system_identifier as is_home, clock_timestamp() as at,
  (select coalesce(json_agg(floor_seq order by floor_seq), '[]') from :"schema".rebase) as floors
from :"schema".deployment
