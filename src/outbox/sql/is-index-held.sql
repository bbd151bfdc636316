-- Whether somebody alive owns an index, as take_index sees it: a look that costs no connection of one's own. $1 index.
select :"schema".is_held(l) as is_held from :"schema".index_lease l where l.index_name = $1
