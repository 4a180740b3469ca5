-- What an operator watches.
\set SHOW_CONTEXT never
SET ROLE chat_monitor;
SELECT name, coalesce(value >= 0, true) AS fine, description FROM chat.stats ORDER BY name;
SELECT count(*) > 20 AS checks, bool_and(ok) AS fine FROM chat.verify();
SELECT * FROM chat.users;
RESET ROLE;
SET ROLE chat_user;
SELECT * FROM chat.stats;
RESET ROLE;
