-- Lets go of everything. $1 relay.
select :"schema".leave($1)
