-- The ids that the log has now and had in earlier lives.
select log_id from :"schema".deployment union select log_id from :"schema".rebase
