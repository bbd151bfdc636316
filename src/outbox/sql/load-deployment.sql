-- Whose log this is, and whether it is still in the cluster that its transaction ids are from.
select
  log_id, namespace, system_identifier = (pg_control_system()).system_identifier as is_home, clock_timestamp() as at
from :"schema".deployment
