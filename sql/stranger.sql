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
