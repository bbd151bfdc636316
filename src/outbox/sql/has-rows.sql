-- Whether anything was ever recorded that is still kept.
select exists (select from :"schema".outbox) as has_rows
