-- Every client function as one who has no business there: a stranger, a removed member, a blocked user. The calls are
-- made from the catalog, so a function cannot be forgotten: a new one shows up here.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['str_owner', 'str_removed', 'str_blocked', 'str_stranger', 'str_member']) name) made;
SELECT test.user('str_owner') AS owner, test.user('str_removed') AS removed, test.user('str_blocked') AS blocked, test.user('str_stranger') AS stranger,
	test.user('str_member') AS member \gset
SELECT id AS chat FROM chat.create_group(:owner, 'Closed', ARRAY[:removed, :member]::bigint[]) \gset
SELECT id AS direct FROM chat.open_direct_chat(:owner, :blocked) \gset
SELECT id AS before FROM chat.send_message(:owner, :chat, 'before the removal') \gset
SELECT count(*) FROM chat.remove_member(:owner, :chat, :removed);
SELECT id AS message FROM chat.send_message(:owner, :chat, 'a secret word, after the removal') \gset
SELECT id AS direct_message FROM chat.send_message(:owner, :direct, 'before the block') \gset
SELECT count(*) FROM chat.block_user(:owner, :blocked);

-- One plausible argument for each parameter name; what is not named here is NULL when optional, else of its type.
CREATE FUNCTION test.call(call text, parameters jsonb, actor bigint, chat_id bigint, message_id bigint, other bigint) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT count(*) FROM %s(%s)', call.call, string_agg(format('%I => %L::%s', p ->> 'name', CASE
		WHEN p ->> 'name' = 'actor_id' THEN actor::text
		WHEN p ->> 'name' IN ('chat_id', 'to_chat_id') THEN call.chat_id::text
		WHEN p ->> 'name' = 'message_id' THEN call.message_id::text
		WHEN p ->> 'name' = 'user_id' THEN other::text
		WHEN p ->> 'name' IN ('user_ids', 'member_ids') THEN format('{%s}', other)
		WHEN p ->> 'name' = 'emoji' THEN 'x'
		WHEN p ->> 'name' = 'body' THEN 'body'
		WHEN p ->> 'name' = 'role' THEN 'admin'
		WHEN p ->> 'name' = 'query' THEN 'secret'
		WHEN p ->> 'name' = 'send_at' THEN '2030-01-01'
		WHEN p ->> 'name' = 'media' THEN 'audio'
		WHEN (p ->> 'optional')::boolean THEN NULL
		ELSE CASE p ->> 'type' WHEN 'bigint' THEN '1' WHEN 'text' THEN 'text' WHEN 'boolean' THEN 'true' WHEN 'jsonb' THEN '{}' END END, p ->> 'type'), ', '))
	  FROM jsonb_array_elements(call.parameters) p
$$;

-- A stranger and a removed member in somebody's chat: no such chat, whatever they try; reading what was before the
-- removal is the removed member's right.
SELECT m.method, test.error(test.call(m.call, m.parameters, :stranger, :chat, :message, :owner)) AS stranger, test.error(test.call(m.call, m.parameters, :removed, :chat, :message, :owner)) AS removed
  FROM chat.list_methods() m WHERE m.parameters @? '$[*] ? (@.name == "chat_id" || @.name == "to_chat_id")' AND NOT m.anonymous;
-- What the removed one can read ends with the removal.
SELECT count(*) FILTER (WHERE id > :message - 1) AS after, bool_or(id = :before) AS before FROM chat.list_messages(:removed, :chat);
SELECT count(*) AS found FROM chat.search_messages(:removed, 'secret');
SELECT last_message ->> 'body' LIKE '%secret%' AS leaked FROM chat.get_chat(:removed, :chat);
-- The blocked user towards who blocked him, and the other way round
SELECT m.method, test.error(test.call(m.call, m.parameters, :blocked, :direct, :direct_message, :owner)) AS blocked, test.error(test.call(m.call, m.parameters, :owner, :direct, :direct_message, :blocked)) AS blocker
  FROM chat.list_methods() m
 WHERE m.method IN ('send_message', 'send_direct_message', 'open_direct_chat', 'invite_user', 'set_typing', 'send_signal', 'start_call', 'add_members', 'forward_message', 'schedule_message',
	'accept_connection', 'get_user', 'add_reaction', 'edit_message', 'list_messages', 'mark_read');
SELECT count(*) AS found FROM chat.search_users(:blocked, 'str_owner');

-- Whatever happens after somebody's removal, all that they can read stays as it was: each reading call, before and after. The
-- list is made from the catalog, too.
CREATE FUNCTION test.readings(actor bigint, chat_id bigint, message_id bigint) RETURNS TABLE (method text, answer text) LANGUAGE plpgsql AS $$
DECLARE
	one record;
BEGIN
	FOR one IN SELECT m.method AS name, replace(test.call(m.call, m.parameters, actor, readings.chat_id, readings.message_id, actor), 'count(*)', 'coalesce(json_agg(t), ''[]'')') || ' t' AS statement
		  FROM chat.list_methods() m JOIN pg_proc p ON p.oid = to_regproc(m.call)
		 WHERE p.provolatile = 's' AND NOT m.anonymous AND m.parameters @? '$[*] ? (@.name == "chat_id")' ORDER BY 1
	LOOP
		method := one.name;
		BEGIN
			EXECUTE one.statement INTO answer;
		EXCEPTION WHEN OTHERS THEN
			answer := SQLERRM;
		END;
		RETURN NEXT;
	END LOOP;
	method := 'list_chats';
	SELECT json_agg(c)::text INTO answer FROM chat.list_chats(actor, include_left => true) c;
	RETURN NEXT;
	method := 'sync';
	SELECT s.events::text INTO answer FROM chat.sync(actor, readings.chat_id) s;
	RETURN NEXT;
END
$$;
SELECT id AS place FROM chat.create_group(:owner, 'Place', ARRAY[:removed, :member]) \gset
SELECT id AS said FROM chat.send_message(:owner, :place, 'secret, but known to all') \gset
SELECT id AS later FROM chat.send_message(:member, :place, 'as known', reply_to_id => :said) \gset
SELECT count(*) FROM chat.add_reaction(:member, :place, :said, 'x'), chat.pin_message(:owner, :place, :later), chat.remove_member(:owner, :place, :removed);
CREATE TABLE test.before AS SELECT * FROM test.readings(:removed, :place, :said);
SELECT method, answer LIKE '%known to all%' AS tells_the_text FROM test.before ORDER BY method;
SELECT count(*) FROM chat.add_reaction(:owner, :place, :said, 'x'), chat.add_reaction(:owner, :place, :later, 'y') again, chat.pin_message(:owner, :place, :said), chat.mark_read(:member, :place, :later),
	chat.send_message(:owner, :place, 'secret, known to few', mention_ids => ARRAY[:member]), chat.start_call(:owner, :place), chat.edit_chat(:owner, :place, 'Another place'), chat.add_members(:owner, :place, ARRAY[:stranger]),
	chat.set_member_role(:owner, :place, :member, 'admin'), chat.save_draft(:owner, :place, 'to be'), chat.set_chat_prefs(:owner, :place, pinned => true), chat.set_presence(:member, 'busy', 'here');
SELECT a.method, b.answer, a.answer AS now FROM test.readings(:removed, :place, :said) a JOIN test.before b USING (method) WHERE a.answer <> b.answer;
-- An edit or deletion takes away, and tells nothing of itself.
SELECT e.body, d.deleted_at IS NOT NULL AS deleted FROM chat.edit_message(:owner, :place, :said, 'altered') e, chat.delete_message(:member, :place, :later) d;
SELECT a.method FROM test.readings(:removed, :place, :said) a WHERE a.answer LIKE '%altered%' OR a.answer LIKE '%"message_deleted"%'
	OR a.answer LIKE '%' || (SELECT e.id FROM chat.events e WHERE e.chat_id = :place AND e.type = 'message_deleted') || '%';
SELECT method, answer FROM test.readings(:removed, :place, :later) WHERE method = 'get_message';
-- Who has come in without the history reads nothing of it, whatever happens to it.
SELECT id AS past FROM chat.send_message(:owner, :place, 'of the past') \gset
SELECT value FROM chat.set_setting('history_for_new_members', 'none');
SELECT member_count FROM chat.add_members(:owner, :place, ARRAY[:removed]);
SELECT value FROM chat.set_setting('history_for_new_members', 'all');
SELECT count(*) FROM chat.add_reaction(:owner, :place, :past, 'x'), chat.pin_message(:owner, :place, :past), chat.edit_message(:owner, :place, :past, 'of the past, secret'), chat.mark_read(:member, :place, :past),
	chat.send_message(:member, :place, 'answering', reply_to_id => :past);
SELECT a.method, a.answer FROM test.readings(:removed, :place, :past) a WHERE a.answer LIKE '%past%' OR a.answer LIKE '%"message_id":"' || :past || '"%' OR a.answer LIKE '%"message_id":' || :past || '%';
DROP FUNCTION test.readings;
DROP TABLE test.before;
