-- Every name that was ever registered, as it is now or was last. One line without a name where there is none.
select v.version, s.name, s.since, s.definition, s.to_version is null as is_present
from (select :"schema".subscription_version() as version) v
left join (
  select distinct on (name) name, since, definition, to_version from :"schema".subscription order by name, from_version desc
) s on true
order by s.name
