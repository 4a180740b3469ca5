-- What an operator watches.
\set SHOW_CONTEXT never
SET ROLE chat_monitor;
SELECT name, value >= 0 AS counted, description FROM chat.stats ORDER BY name;
SELECT value BETWEEN 5 AND 60 AS seconds FROM chat.stats WHERE name = 'horizon_lag_seconds';
SELECT count(*) > 20 AS checks, bool_and(ok) AS fine FROM chat.verify();
SELECT * FROM chat.users;
RESET ROLE;
SET ROLE chat_user;
SELECT * FROM chat.stats;
RESET ROLE;
