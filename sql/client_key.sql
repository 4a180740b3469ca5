-- Creating calls that are repeated with the same client_key happen once.
\set SHOW_CONTEXT never
SELECT chat.client_key_result(1, 'make', 'key', '{"a": 1, "b": [2]}') IS NULL AS new;
SELECT chat.save_client_key(1, 'make', 'key', '{"a": 1, "b": [2]}', 77);
SELECT chat.client_key_result(1, 'make', 'key', '{"b": [2], "a": 1}');
SELECT test.error('SELECT chat.client_key_result(1, ''make'', ''key'', ''{"a": 1}'')'), test.error('SELECT chat.client_key_result(1, ''break'', ''key'', ''{"a": 1, "b": [2]}'')');
-- Keys are each user's own.
SELECT chat.client_key_result(2, 'make', 'key', '{"a": 1}') IS NULL AS new;
-- A call that has ended without making anything leaves its key free.
SELECT chat.client_key_result(2, 'break', 'key', '{}') IS NULL AS new;
-- Without a key every call is a new one.
SELECT chat.client_key_result(1, 'make', NULL, '{}') IS NULL AS new, chat.save_client_key(1, 'make', NULL, '{}', 78);
SELECT test.error('SELECT chat.client_key_result(1, ''make'', '''', ''{}'')'), test.error('SELECT chat.client_key_result(1, ''make'', repeat(''k'', 65), ''{}'')');
-- Kept 7 days
SELECT chat.client_key_result(3, 'make', 'old', '{}') IS NULL, chat.save_client_key(3, 'make', 'old', '{}', chat.id_at(now() - interval '7 days 1 minute'));
SELECT chat.client_key_result(3, 'make', 'young', '{}') IS NULL, chat.save_client_key(3, 'make', 'young', '{}', chat.id_at(now() - interval '7 days' + interval '1 minute'));
SELECT chat.save_client_key(1, 'make', 'key', '{}', chat.next_id());
SELECT chat.expire_client_keys(10), chat.expire_client_keys(10);
SELECT client_key FROM chat.client_keys WHERE user_id = 3;
DELETE FROM chat.client_keys;
