-- Settings: typed, ranged, checked when written, followed at once.
\set SHOW_CONTEXT never
SELECT name, type, default_value, low, high FROM chat.list_settings();
-- Every default is valid, every description is there.
SELECT name FROM chat.setting_defaults() WHERE NOT chat.is_valid_setting(type, default_value, low, high) OR description = '';
-- The lowest and highest are accepted, what lies beyond is not.
BEGIN;
SELECT d.name, test.error(format('SELECT chat.set_setting(%L, %L)', d.name, d.low)), test.error(format('SELECT chat.set_setting(%L, %L)', d.name, d.high))
  FROM chat.setting_defaults() d WHERE d.low IS NOT NULL AND d.name <> 'page_size_max';
SELECT d.name, test.error(format('SELECT chat.set_setting(%L, %L)', d.name, d.low::bigint - 1)), test.error(format('SELECT chat.set_setting(%L, %L)', d.name, d.high::bigint + 1))
  FROM chat.setting_defaults() d WHERE d.type = 'integer';
ROLLBACK;
SELECT value, test.error(format('SELECT chat.set_setting(''page_size'', %L)', value))
  FROM unnest(ARRAY['', 'x', '1.5', ' 7', '7 ', '0x10', '99999999999999999999', '-1', NULL]) value;
SELECT value, test.error(format('SELECT chat.set_setting(''session_lifetime'', %L)', value))
  FROM unnest(ARRAY['', '5', '5 minutes ago', 'PT5M', '-5 minutes', '59 seconds', '11 years', '99999999 years', '999999999 years', '1 hour 5 minutes', 'infinity']) value;
SELECT value, test.error(format('SELECT chat.set_setting(''sign_up'', %L)', value)) FROM unnest(ARRAY['on', 'TRUE', '1', '']) value;
SELECT value, test.error(format('SELECT chat.set_setting(''history_for_new_members'', %L)', value)) FROM unnest(ARRAY['None', 'all|none', '']) value;
SELECT test.error('SELECT chat.set_setting(''no_such'', ''1'')');
SELECT test.error('SELECT chat.set_setting(NULL, ''1'')');

-- A change is seen at once, is undone with its transaction, and a stale version loses.
SELECT chat.setting_integer('page_size');
SELECT name, value, version > 0 AS versioned FROM chat.set_setting('page_size', '7', 0);
SELECT chat.setting_integer('page_size');
BEGIN;
SELECT value FROM chat.set_setting('page_size', '9');
SELECT chat.setting_integer('page_size');
ROLLBACK;
SELECT chat.setting_integer('page_size');
SELECT test.error('SELECT chat.set_setting(''page_size'', ''8'', 1)');
SELECT value FROM chat.set_setting('page_size', '7', 1); -- the wanted end state holds
SELECT s.value FROM chat.list_settings() l, chat.set_setting('page_size', '32', l.version) s WHERE l.name = 'page_size';
SET ROLE chat_user;
SELECT * FROM chat.set_setting('page_size', '1');
RESET ROLE;

-- The words of all errors: well-formed and unique.
SELECT count(*) = count(DISTINCT reason) AS unique, bool_and(reason ~ '^[a-z_]+$') AS words, bool_and(sqlstate ~ '^MC[45][0-9][0-9]$') AS states
  FROM chat.reasons();
SELECT reason, sqlstate FROM chat.reasons() ORDER BY sqlstate, reason;
