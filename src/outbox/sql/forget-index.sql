-- An index is no more: its owner loses it, and the log keeps nothing for it. $1 index.
with forgotten as (
  delete from :"schema".index_lease where index_name = $1
), batches as (
  delete from :"schema".index_batch where index_name = $1
)
delete from :"schema".index_settled where index_name = $1
