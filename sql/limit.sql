-- What one user may pile up, and how often they may turn to strangers: each has a setting that no honest person meets, and a reason.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['lim_a', 'lim_b', 'lim_c', 'lim_d', 'lim_e', 'lim_f']) name) made;
SELECT test.user('lim_a') AS a, test.user('lim_b') AS b, test.user('lim_c') AS c, test.user('lim_d') AS d, test.user('lim_e') AS e, test.user('lim_f') AS f \gset
-- The setting's value, and how often the call succeeds before it is refused, with what.
CREATE FUNCTION test.until_refused(setting text, value text, statement text, OUT succeeded integer, OUT refused text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM chat.set_setting(setting, value);
	FOR n IN 0 .. 20 LOOP
		succeeded := n;
		refused := test.error(replace(statement, '#', n::text));
		EXIT WHEN refused <> 'no error';
	END LOOP;
	PERFORM chat.set_setting(setting, (SELECT d.default_value FROM chat.setting_defaults() d WHERE d.name = setting));
END
$$;

-- Turning to strangers: inviting, opening a direct chat, adding to groups, sharing files, and joining rooms count together.
SELECT id AS file FROM chat.add_file_link(:a, 'link', url => 'https://example.org') \gset
SELECT id AS room FROM chat.create_room(:f, 'Limits') \gset
SELECT value FROM chat.set_setting('approaches_max', '7');
SELECT state FROM chat.invite_user(:a, :b);
SELECT kind FROM chat.open_direct_chat(:a, :c);
SELECT member_count FROM chat.create_group(:a, 'Strangers', ARRAY[:b, :c, :d]::bigint[]);
SELECT name FROM chat.share_file(:a, :file, :b);
SELECT title FROM chat.join_room(:a, :room);
SELECT regexp_replace(call, '[0-9]{9,}', 'ID', 'g') AS call, test.error('SELECT chat.' || call)
  FROM unnest(ARRAY[format('invite_user(%s, %s)', :a, :e), format('open_direct_chat(%s, %s)', :a, :e), format('send_direct_message(%s, %s, ''x'')', :a, :e),
	format('create_group(%s, NULL, ARRAY[%s])', :a, :e), format('share_file(%s, %s, %s)', :a, :file, :e)]) WITH ORDINALITY AS c (call, n) ORDER BY n;
-- What was refused has left nothing behind; what changes nothing, and oneself, costs nothing.
SELECT count(*) FROM chat.connections WHERE :e IN (low_user_id, high_user_id);
SELECT state FROM chat.invite_user(:a, :b);
SELECT kind FROM chat.open_direct_chat(:a, :c);
SELECT kind FROM chat.open_direct_chat(:a, :a);
SELECT title FROM chat.create_group(:a, 'Alone');
SELECT title FROM chat.join_room(:a, :room);
-- Nobody is a stranger who is connected, has invited, or has written.
SELECT state FROM chat.invite_user(:b, :a);
SELECT state FROM chat.invite_user(:d, :a);
SELECT number FROM chat.send_direct_message(:c, :a, 'hello');
SELECT member_count FROM chat.create_group(:a, 'Friends', ARRAY[:b, :c, :d]::bigint[]);
SELECT name FROM chat.share_file(:a, :file, :c);
-- Others are not bound by it, nor is an app; a day later the user is not either.
SELECT kind FROM chat.open_direct_chat(:e, :d);
SET ROLE chat_app;
SELECT kind FROM chat.open_direct_chat(:a, :f);
RESET ROLE;
UPDATE chat.budgets SET window_ends_at = now() WHERE subject LIKE 'approaches:%';
SELECT state FROM chat.invite_user(:a, :e);
SELECT chat.expire_budgets(1000) > 0 AS some;
SELECT count(*) FROM chat.budgets WHERE window_ends_at <= now();
SELECT value FROM chat.set_setting('approaches_max', '1000');

-- One victim is reached a few times a day at most, be it by taking back and doing again.
SELECT * FROM test.until_refused('approaches_to_one_max', '3', format('SELECT chat.invite_user(%1$s, %2$s), chat.cancel_connection(%1$s, %2$s)', :e, :f));
SELECT * FROM test.until_refused('approaches_to_one_max', '3', format('SELECT chat.create_group(%s, ''#'', ARRAY[%s])', :e, :b));
SELECT * FROM test.until_refused('approaches_to_one_max', '3', format('SELECT chat.share_file(%1$s, %3$s, %2$s), chat.unshare_file(%1$s, %3$s, %2$s)', :a, :f, :file));
SELECT * FROM test.until_refused('approaches_to_one_max', '3', format('SELECT chat.join_room(%1$s, %2$s), chat.leave_chat(%1$s, %2$s)', :b, :room));
SELECT id AS closed FROM chat.create_group(:f, 'By link') \gset
SELECT code AS code FROM chat.create_invite_link(:f, :closed) \gset
SELECT * FROM test.until_refused('approaches_to_one_max', '3', format('SELECT chat.redeem_invite_link(%1$s, %2$L), chat.leave_chat(%1$s, %3$s)', :b, :'code', :closed));
SELECT * FROM test.until_refused('approaches_to_one_max', '3', format('SELECT chat.add_members(%1$s, %3$s, ARRAY[%2$s]), chat.remove_member(%1$s, %3$s, %2$s)', :f, :c, :closed));
-- Blocking a stranger again and again tells nobody who watches them; blocking somebody who sees one does.
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['lim_x', 'lim_y', 'lim_z']) name) made;
SELECT test.user('lim_x') AS x, test.user('lim_y') AS y, test.user('lim_z') AS z \gset
SELECT count(*) FROM chat.block_user(:x, :y);
SELECT chat.unblock_user(:x, :y);
SELECT count(*) AS told FROM chat.users WHERE id IN (:x, :y) AND status_version > 0;
SELECT state FROM chat.invite_user(:x, :z);
SELECT state FROM chat.invite_user(:z, :x);
SELECT max(status_version) AS before FROM chat.users WHERE id IN (:x, :z) \gset
SELECT count(*) FROM chat.block_user(:x, :z);
SELECT count(*) AS told FROM chat.users WHERE id IN (:x, :z) AND status_version > :before;

-- Users by one address: of IPv6, a /64 is one. Without an address the app has its own rules, and nothing counts.
SELECT * FROM test.until_refused('sign_ups_per_address', '3', 'SELECT chat.register_user(''lim_sign.#'', ''correct horse'', actor_address => ''192.0.2.1'')');
SELECT * FROM test.until_refused('sign_ups_per_address', '3', 'SELECT chat.register_user(''lim_six.#'', ''correct horse'', actor_address => ''2001:db8::#'')');
SELECT * FROM test.until_refused('sign_ups_per_address', '3', 'SELECT chat.register_user(''lim_none.#'', ''correct horse'') WHERE # < 6');
SELECT count(*) FROM chat.users WHERE user_name LIKE 'lim\_sign%';
-- Over the limit it costs no hashing.
BEGIN;
SELECT value FROM chat.set_setting('sign_ups_per_address', '3');
CREATE OR REPLACE FUNCTION chat.hash_password(password text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'hashed'; END $$;
SELECT test.error('SELECT chat.register_user(''lim_sign.9'', ''correct horse'', actor_address => ''192.0.2.1'')');
ROLLBACK;

-- Everything else that can be piled up
SELECT * FROM test.until_refused('invitations_max', '2', format('SELECT chat.invite_user(%s, id) FROM chat.users WHERE user_name = ''lim_none.#''', :d));
SELECT chat.accept_connection(:a, :d) IS NOT NULL AS one_less;
SELECT * FROM test.until_refused('invitations_max', '2', format('SELECT chat.invite_user(%s, id) FROM chat.users WHERE user_name = ''lim_none.''|| # + 3', :d));
SELECT * FROM test.until_refused('blocks_max', '2', format('SELECT chat.block_user(%s, id) FROM chat.users WHERE user_name = ''lim_none.#''', :d));
SELECT * FROM test.until_refused('chats_max', '2', format('SELECT chat.create_group(%s, ''#'')', :x));
SELECT id AS made FROM chat.list_chats(:x) ORDER BY id LIMIT 1 \gset
-- Deleted ones count until they are removed, so that making and deleting has no end either.
SELECT chat.delete_chat(:x, :made);
SELECT * FROM test.until_refused('chats_max', '2', format('SELECT chat.create_room(%s, ''#'')', :x));
UPDATE chat.chats SET deleted_id = 1 WHERE id = :made;
SELECT test.work('drop_deleted_chats') > 0 AS dropped;
SELECT * FROM test.until_refused('chats_max', '2', format('SELECT chat.create_room(%s, ''#'')', :x));
-- Whom others put into chats can still be put into more, but not make, open or join others.
SELECT count(*) FROM generate_series(1, 3) n, LATERAL chat.create_group(:d, 'full ' || n, ARRAY[:y]);
SELECT value FROM chat.set_setting('chats_max', '3');
SELECT test.error(format('SELECT chat.open_direct_chat(%s, %s)', :y, :c)), test.error(format('SELECT chat.join_room(%s, %s)', :y, :room)), test.error(format('SELECT chat.redeem_invite_link(%s, %L)', :y, :'code'));
SELECT member_count FROM chat.create_group(:z, 'one more', ARRAY[:y]::bigint[]);
SELECT title FROM chat.join_room(:f, :room);
SELECT value FROM chat.set_setting('chats_max', '10000');
-- Making a group and sending one file or link after the other
SELECT id AS group FROM chat.create_group(:a, 'Piles', ARRAY[:b]::bigint[]) \gset
SELECT * FROM test.until_refused('invite_links_max', '2', format('SELECT chat.create_invite_link(%s, %s)', :a, :group));
SELECT * FROM test.until_refused('bans_max', '2', format('SELECT chat.ban_member(%s, %s, id) FROM chat.users WHERE user_name = ''lim_none.#''', :a, :group));
SELECT * FROM test.until_refused('bans_max', '2', format('SELECT chat.ban_member(%s, %s, id) FROM chat.users WHERE user_name = ''lim_none.0'' AND # < 3', :a, :group));
SELECT id AS message FROM chat.send_message(:a, :group, 'edited') \gset
SELECT * FROM test.until_refused('edits_max', '2', format('SELECT chat.edit_message(%s, %s, %s, ''edit #'')', :a, :group, :message));
SELECT value FROM chat.set_setting('keep_edits', 'false');
SELECT body FROM chat.edit_message(:a, :group, :message, 'not kept');
SELECT value FROM chat.set_setting('keep_edits', 'true');
SELECT count(*) FROM generate_series(1, 4) n, LATERAL chat.send_message(:a, :group, 'pile ' || n);
SELECT * FROM test.until_refused('pins_max', '2', format('SELECT chat.pin_message(%1$s, chat_id, id) FROM chat.messages WHERE chat_id = %2$s AND body = ''pile ''|| # + 1', :a, :group));
SELECT * FROM test.until_refused('hidden_messages_max', '2', format('SELECT chat.delete_message(%1$s, chat_id, id, false) FROM chat.messages WHERE chat_id = %2$s AND body = ''pile ''|| # + 1', :b, :group));
SELECT * FROM test.until_refused('files_max', '4', format('SELECT chat.begin_upload(%s, ''#'', ''text/plain'', 0)', :b));
SELECT * FROM test.until_refused('files_max', '4', format('SELECT chat.add_file_link(%s, ''#'', url => ''https://example.org'')', :b));
SELECT * FROM test.until_refused('files_max', '4', format('SELECT chat.delete_file(%1$s, f.id) FROM chat.add_file_link(%1$s, ''#'', url => ''https://example.org'') f', :c));
SELECT id AS file FROM chat.add_file_link(:d, 'shared', url => 'https://example.org') \gset
SELECT * FROM test.until_refused('file_shares_max', '2', format('SELECT chat.share_file(%s, %s, id), chat.unshare_file(%1$s, %2$s, id) FROM chat.users WHERE user_name = ''lim_sign.#''', :d, :file));
SELECT * FROM test.until_refused('client_keys_max', '2', format('SELECT chat.begin_upload(%s, ''x'', ''text/plain'', 0, client_key => ''#'')', :f));
SELECT * FROM test.until_refused('client_keys_max', '2', format('SELECT chat.begin_upload(%s, ''x'', ''text/plain'', 0, client_key => ''1'') WHERE # < 3', :f));
-- A draft goes with the membership.
SELECT body FROM chat.save_draft(:b, :group, 'I am about to');
SELECT chat.leave_chat(:b, :group);
SELECT count(*) FROM chat.drafts WHERE user_id = :b;
-- None of these binds an app.
SELECT count(*) FROM (SELECT chat.set_setting(s, '1') FROM unnest(ARRAY['invitations_max', 'blocks_max', 'chats_max', 'invite_links_max', 'files_max', 'sign_ups_per_address']) s) changed;
SET ROLE chat_app;
SELECT count(*) FROM chat.create_group(:a), chat.create_invite_link(:a, :group), chat.add_file_link(:b, 'x', url => 'https://example.org'), chat.invite_user(:e, :c);
SELECT user_name FROM chat.register_user('lim_sign.10', 'correct horse', actor_address => '192.0.2.1');
RESET ROLE;
SELECT count(*) FROM (SELECT chat.set_setting(d.name, d.default_value) FROM chat.setting_defaults() d
	WHERE d.name IN ('invitations_max', 'blocks_max', 'chats_max', 'invite_links_max', 'files_max', 'sign_ups_per_address')) changed;

-- Every text and array that a client may send, 60,000 characters long or with 5,000 ids: refused by a word, or of no weight.
CREATE FUNCTION test.long_call(call text, parameters jsonb, long_one text, actor bigint, chat_id bigint, message_id bigint) RETURNS text LANGUAGE sql AS $$
	SELECT format('SELECT count(*) FROM %s(%s)', call, string_agg(format('%I => %L::%s', p ->> 'name', CASE
		WHEN p ->> 'name' = long_one THEN CASE p ->> 'type' WHEN 'bigint[]' THEN (SELECT array_agg(g)::text FROM generate_series(1, 5000) g)
			WHEN 'jsonb' THEN jsonb_build_object('x', repeat('x', 300000))::text WHEN 'bytea' THEN '\x' || repeat('00', 1048577) ELSE repeat('x', 60000) END
		WHEN p ->> 'name' = 'actor_id' THEN actor::text
		WHEN p ->> 'name' IN ('chat_id', 'to_chat_id') THEN long_call.chat_id::text
		WHEN p ->> 'name' = 'message_id' THEN long_call.message_id::text
		WHEN p ->> 'name' = 'send_at' THEN '2030-01-01'
		WHEN p ->> 'name' = 'size' THEN '1'
		WHEN p ->> 'name' = 'url' THEN 'https://example.org'
		WHEN p ->> 'name' = 'upload_id' THEN (SELECT max(u.id) FROM chat.uploads u WHERE u.owner_id = actor)::text
		WHEN p ->> 'name' = 'byte_offset' THEN '0'
		WHEN p ->> 'name' = 'user_id' THEN actor::text
		WHEN p ->> 'name' = 'platform' THEN 'web'
		WHEN p ->> 'name' = 'body' THEN 'body'
		WHEN (p ->> 'optional')::boolean THEN NULL
		ELSE CASE p ->> 'type' WHEN 'bigint' THEN '1' WHEN 'text' THEN 'text.text' WHEN 'boolean' THEN 'true' WHEN 'jsonb' THEN '{}' WHEN 'bigint[]' THEN '{}' END END, p ->> 'type'), ', '))
	  FROM jsonb_array_elements(parameters) p
$$;
SELECT id AS upload FROM chat.begin_upload(:a, 'x', 'text/plain', 2000000) \gset
SELECT user_name FROM chat.set_password(:a, 'correct horse');
SELECT m.method, p ->> 'name' AS parameter, test.error(test.long_call(m.call, m.parameters, p ->> 'name', :a, :group, :message)) AS answer
  FROM chat.list_methods() m, jsonb_array_elements(m.parameters) p
 WHERE p ->> 'type' IN ('text', 'jsonb', 'bigint[]', 'bytea') ORDER BY m.method COLLATE "C", p ->> 'name';
DELETE FROM chat.login_failures;
DROP FUNCTION test.long_call, test.until_refused;
