-- A seq below those of all rows recorded since an instant. $1 instant.
-- A row is dated before its seq is drawn, so that it is above what had been drawn when the last tick before the instant was taken.
select coalesce(max(low), 0) as low from :"schema".tick where at <= $1
