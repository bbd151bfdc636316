-- The version of the set of subscriptions.
select :"schema".subscription_version() as version
