-- Connections and blocks: one row per pair, whoever began.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['conny', 'conrad', 'conan', 'constance']) name) made;
SELECT test.user('conny') AS conny, test.user('conrad') AS conrad, test.user('conan') AS conan, test.user('constance') AS constance \gset
-- A connection as its row says, with names for ids.
CREATE FUNCTION test.connection(c chat.v_connections) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', o.user_name, u.user_name, c.state, 'target ' || t.user_name)
	  FROM chat.users o JOIN chat.users u ON u.id = c.user_id LEFT JOIN chat.users t ON t.id = c.target_user_id WHERE o.id = c.owner_id
$$;

-- Inviting, again, and accepting
SELECT test.connection(c) FROM chat.invite_user(:conny, :conrad) c;
SELECT version AS version FROM chat.list_connections(:conny) \gset
SELECT test.connection(c), version = :version AS unchanged FROM chat.invite_user(:conny, :conrad) c;
SELECT user_id = :conny AS from_conny, state, target_user_id = :conrad AS for_conrad, has_more FROM chat.list_connections(:conrad);
SELECT test.error(format('SELECT chat.accept_connection(%s, %s)', :conny, :conrad));
SELECT test.error(format('SELECT chat.accept_connection(%s, %s, %s)', :conrad, :conny, :version - 1));
SELECT test.error(format('SELECT chat.remove_connection(%s, %s)', :conrad, :conny));
SELECT test.connection(c), version > :version AS newer FROM chat.accept_connection(:conrad, :conny, :version) c;
-- Accepted twice, with the old version too, is accepted; so is inviting whom one is connected with.
SELECT test.connection(c) FROM chat.accept_connection(:conrad, :conny, :version) c;
SELECT test.connection(c) FROM chat.invite_user(:conrad, :conny) c;
SELECT test.error(format('SELECT chat.cancel_connection(%s, %s)', :conrad, :conny));
SELECT test.error(format('SELECT chat.remove_connection(%s, %s, %s)', :conrad, :conny, :version));

-- Removing, again, and inviting anew: one row all the time.
SELECT test.connection(c) FROM chat.remove_connection(:conny, :conrad) c;
SELECT test.connection(c) FROM chat.remove_connection(:conny, :conrad, :version) c;
SELECT test.error(format('SELECT chat.accept_connection(%s, %s, %s)', :conrad, :conny, :version));
SELECT test.error(format('SELECT chat.accept_connection(%s, %s)', :conrad, :conny));
SELECT test.connection(c) FROM chat.invite_user(:conrad, :conny) c;
SELECT test.connection(c) FROM chat.cancel_connection(:conrad, :conny) c;
SELECT test.connection(c) FROM chat.cancel_connection(:conrad, :conny) c;
SELECT test.connection(c) FROM chat.invite_user(:conrad, :conny) c;
-- Declining is cancelling from the other side.
SELECT test.connection(c) FROM chat.cancel_connection(:conny, :conrad) c;
SELECT count(*) FROM chat.connections WHERE :conny IN (low_user_id, high_user_id);
-- Two invitations that cross make a connection.
SELECT test.connection(c) FROM chat.invite_user(:conrad, :conny) c;
SELECT test.connection(c) FROM chat.invite_user(:conny, :conrad) c;

-- The list: what is, in the order of changes; after a version also what is over.
SELECT test.connection(c) FROM chat.invite_user(:conan, :conny) c;
SELECT test.connection(c) FROM chat.invite_user(:conny, :constance) c;
SELECT user_name, state, has_more FROM chat.list_connections(:conny) c JOIN chat.users u ON u.id = c.user_id ORDER BY c.version;
SELECT user_name, has_more, c.version AS version FROM chat.list_connections(:conny, NULL, 1) c JOIN chat.users u ON u.id = c.user_id \gset
SELECT :'user_name' AS first, :'has_more' AS has_more;
SELECT user_name, has_more FROM chat.list_connections(:conny, :version, 1) c JOIN chat.users u ON u.id = c.user_id;
SELECT test.connection(c) FROM chat.cancel_connection(:conny, :conan) c;
SELECT user_name, state FROM chat.list_connections(:conny) c JOIN chat.users u ON u.id = c.user_id ORDER BY c.version;
SELECT user_name, state, has_more FROM chat.list_connections(:conny, :version) c JOIN chat.users u ON u.id = c.user_id ORDER BY c.version;
SELECT count(*) FROM chat.list_connections(:conrad);

-- A block in the middle of a conversation: each gets his own word.
SELECT id AS chat FROM chat.open_direct_chat(:conny, :conrad) \gset
SELECT number FROM chat.send_message(:conny, :chat, 'hello');
SELECT user_id = :conrad AS conrad, blocked_at IS NOT NULL AS dated FROM chat.block_user(:conny, :conrad);
SELECT user_id = :conrad AS conrad, blocked_at IS NOT NULL AS dated FROM chat.block_user(:conny, :conrad);
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''still there?'')', :conny, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''still there?'')', :conrad, :chat));
SELECT test.error(format('SELECT chat.invite_user(%s, %s)', :conny, :conrad));
SELECT test.error(format('SELECT chat.invite_user(%s, %s)', :conrad, :conny));
-- The connection has ended as by removal, and both still read what was.
SELECT user_name, state FROM chat.list_connections(:conrad, 0) c JOIN chat.users u ON u.id = c.user_id;
SELECT body FROM chat.list_messages(:conrad, :chat);
SELECT body FROM chat.list_messages(:conny, :chat);
-- No search either way; a profile can be read, as groups go on.
SELECT user_name FROM chat.search_users(:conny, 'conrad');
SELECT user_name FROM chat.search_users(:conrad, 'conny');
SELECT user_name FROM chat.search_users(:conan, 'conny');
SELECT user_name, status FROM chat.get_user(:conrad, :conny);
SELECT id AS group FROM chat.create_group(:conan, 'Group', ARRAY[:conny, :conrad]::bigint[]) \gset
SELECT number FROM chat.send_message(:conny, :group, 'in the group');
SELECT number FROM chat.send_message(:conrad, :group, 'so am I');
-- Only the blocker knows, and only he ends it.
SELECT user_id = :conrad AS conrad FROM chat.list_blocks(:conny);
SELECT count(*) FROM chat.list_blocks(:conrad);
SELECT chat.unblock_user(:conrad, :conny);
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''?'')', :conrad, :chat));
-- Both block each other: each his own is in the way, then the other's.
SELECT user_id = :conny AS conny FROM chat.block_user(:conrad, :conny);
SELECT chat.unblock_user(:conny, :conrad);
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''?'')', :conny, :chat));
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''?'')', :conrad, :chat));
SELECT chat.unblock_user(:conrad, :conny);
SELECT chat.unblock_user(:conrad, :conny);
SELECT number FROM chat.send_message(:conny, :chat, 'again');
SELECT test.connection(chat.get_connection(:conny, :conrad));
-- An invitation is blocked away too.
SELECT count(*) FROM chat.block_user(:constance, :conny);
SELECT test.connection(chat.get_connection(:conny, :constance));
SELECT chat.unblock_user(:constance, :conny);

-- By setting, direct messages are for connected users only; inviting stays possible, notes too.
SELECT value FROM chat.set_setting('direct_requires_connection', 'true');
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''?'')', :conny, :chat));
SELECT number FROM chat.send_message(:conny, (SELECT id FROM chat.open_direct_chat(:conny, :conny)), 'note');
SELECT test.connection(c) FROM chat.invite_user(:conrad, :conny) c;
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''?'')', :conny, :chat));
SELECT test.connection(c) FROM chat.accept_connection(:conny, :conrad) c;
SELECT number FROM chat.send_message(:conny, :chat, 'connected');
SELECT value FROM chat.set_setting('direct_requires_connection', 'false');

-- Nobody else, nobody at all, oneself
SELECT call, test.error(format('SELECT chat.%s(%s, 1)', call, :conny)) AS nobody, test.error(format('SELECT chat.%s(%s, %s)', call, :conny, :conny)) AS oneself,
	test.error(format('SELECT chat.%s(NULL, %s)', call, :conny)) AS actor
  FROM unnest(ARRAY['invite_user', 'accept_connection', 'cancel_connection', 'remove_connection', 'block_user', 'unblock_user']) call;
SELECT test.error(format('SELECT chat.invite_user(%s, NULL)', :conny)), test.error(format('SELECT chat.list_connections(%s, NULL, 0)', :conny));
SELECT test.error('SELECT chat.list_connections(NULL)'), test.error('SELECT chat.list_blocks(NULL)');
-- One row for each pair, the lower id first.
SELECT count(*) = count(DISTINCT (least(low_user_id, high_user_id), greatest(low_user_id, high_user_id))) AS unique FROM chat.connections;
DROP FUNCTION test.connection;
