-- Who may do what: each call by each role, upon each role.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user('rl.' || name) FROM unnest(ARRAY['owner', 'admin', 'admin2', 'member', 'member2', 'left', 'stranger', 'new']) name) made;
CREATE FUNCTION test.rl(name text) RETURNS bigint LANGUAGE sql AS $$ SELECT test.user('rl.' || name) $$;
SELECT id AS chat FROM chat.create_group(test.rl('owner'), 'Roles', ARRAY[test.rl('admin'), test.rl('admin2'), test.rl('member'), test.rl('member2'), test.rl('left')]) \gset
SELECT user_name, role FROM unnest(ARRAY['admin', 'admin2']) name, chat.set_member_role(test.rl('owner'), :chat, test.rl(name), 'admin');
SELECT chat.remove_member(test.rl('owner'), :chat, test.rl('left'));
SELECT code FROM chat.create_invite_link(test.rl('owner'), :chat) \gset
-- What a call ends with; whatever it did is undone.
CREATE FUNCTION test.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	state text;
	detail text;
BEGIN
	EXECUTE statement;
	RAISE SQLSTATE 'ZZ000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, detail = PG_EXCEPTION_DETAIL;
	RETURN CASE state WHEN 'ZZ000' THEN 'yes' ELSE replace(state, 'MC', '') || ' ' || detail END;
END
$$;
CREATE FUNCTION test.by(actor text, call text, chat bigint) RETURNS text LANGUAGE sql AS
$$ SELECT test.attempt(format('SELECT chat.%s', format(call, test.rl(actor), chat))) $$;
CREATE VIEW test.calls AS
SELECT * FROM unnest(ARRAY['get_chat(%s, %s)', 'list_messages(%s, %s)', 'list_members(%s, %s)', 'send_message(%s, %s, ''x'')', 'set_chat_prefs(%s, %s, pinned => true)', 'save_draft(%s, %s, ''x'')', 'leave_chat(%s, %s)',
	'edit_chat(%s, %s, ''x'')', 'add_members(%s, %s, ARRAY[test.rl(''new'')])', 'create_invite_link(%s, %s)', 'list_invite_links(%s, %s)', 'list_bans(%s, %s)', 'ban_member(%s, %s, test.rl(''new''))', 'unban_member(%s, %s, test.rl(''new''))', 'delete_chat(%s, %s)'])
  WITH ORDINALITY AS c (call, n);
SELECT call, test.by('owner', call, :chat) AS owner, test.by('admin', call, :chat) AS admin, test.by('member', call, :chat) AS member, test.by('left', call, :chat) AS has_left, test.by('stranger', call, :chat) AS stranger
  FROM test.calls ORDER BY n;
SELECT test.attempt(format('SELECT chat.revoke_invite_link(%s, %L)', test.rl(actor), :'code')) AS revoke_invite_link, actor FROM unnest(ARRAY['owner', 'admin', 'member', 'left', 'stranger']) actor;

-- Upon others
SELECT call, upon, test.by('owner', replace(call, 'UPON', upon), :chat) AS owner, test.by('admin', replace(call, 'UPON', upon), :chat) AS admin, test.by('member', replace(call, 'UPON', upon), :chat) AS member,
	test.by('left', replace(call, 'UPON', upon), :chat) AS has_left
  FROM unnest(ARRAY['remove_member(%s, %s, test.rl(''UPON''))', 'ban_member(%s, %s, test.rl(''UPON''))', 'set_member_role(%s, %s, test.rl(''UPON''), ''owner'')', 'set_member_role(%s, %s, test.rl(''UPON''), ''admin'')', 'set_member_role(%s, %s, test.rl(''UPON''), ''member'')'])
	WITH ORDINALITY AS c (call, n),
	unnest(ARRAY['owner', 'admin2', 'member2', 'stranger']) WITH ORDINALITY AS u (upon, k) ORDER BY n, k;
SELECT test.by('owner', 'set_member_role(%s, %s, test.rl(''member''), role => ' || role || ')', :chat) FROM unnest(ARRAY['''boss''', 'NULL']) role;

-- Only admins may write, and anyone may let others in, when it is so set.
SELECT posting FROM chat.edit_chat(test.rl('owner'), :chat, posting => 'admins');
SELECT value FROM chat.set_setting('anyone_adds_members', 'true');
SELECT call, test.by('owner', call, :chat) AS owner, test.by('admin', call, :chat) AS admin, test.by('member', call, :chat) AS member, test.by('left', call, :chat) AS has_left, test.by('stranger', call, :chat) AS stranger
  FROM test.calls WHERE call ~ '^(send|add|create|list_invite)' ORDER BY n;
SELECT value FROM chat.set_setting('anyone_adds_members', 'false');

-- Handing over
SELECT user_name, role FROM chat.set_member_role(test.rl('owner'), :chat, test.rl('member'), 'owner');
SELECT user_name, role FROM chat.set_member_role(test.rl('owner'), :chat, test.rl('member'), 'owner'); -- the wanted end state holds
SELECT user_name, role FROM chat.list_members(test.rl('member'), :chat);
SELECT type, payload ->> 'role' AS role FROM chat.events WHERE chat_id = :chat ORDER BY id DESC LIMIT 2;
DROP VIEW test.calls;
DROP FUNCTION test.by, test.attempt, test.rl;
