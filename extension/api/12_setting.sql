-- Settings: rules and limits of the domain. Their list is setting_defaults(); a changed one is a row of chat.settings.

CREATE OR REPLACE FUNCTION chat.setting_defaults()
RETURNS TABLE (name text, type text, default_value text, low text, high text, description text)
LANGUAGE sql IMMUTABLE AS $$
	VALUES
	('sign_up', 'boolean', 'true', NULL, NULL, 'whether register_user is open to everybody'),
	('external_sign_up', 'boolean', 'true', NULL, NULL, 'whether log_in_external makes users of identities that it sees for the first time'),
	('password_cost', 'integer', '10', '4', '16', 'bcrypt cost of new passwords; each step doubles the time'),
	('session_lifetime', 'interval', '30 days', '1 minute', '10 years', 'how long a session lasts after log_in or refresh_session'),
	('sessions_max', 'integer', '200', '1', '1000000', 'sessions of one user; one more ends the least recently used, of the same device first'),
	('sign_ups_per_address', 'integer', '500', '1', '1000000', 'users that one address may register within a day; of IPv6 a /64 is one'),
	('login_failures_per_user', 'integer', '10', '1', '1000000', 'failed attempts for one user name from one address within login_failure_window, and inside the sessions of one user'),
	('login_failures_per_name', 'integer', '1000', '1', '1000000', 'failed attempts for one user name from all addresses within login_failure_window; more refuse addresses where the user has not logged in before'),
	('login_failures_per_address', 'integer', '100', '1', '1000000', 'failed attempts from one address within login_failure_window; more refuse users who have not logged in there before'),
	('login_failure_window', 'interval', '15 minutes', '1 second', '1 day', 'after this long, failed attempts are forgotten'),
	('body_max_length', 'integer', '4096', '1', '65536', 'characters of a message'),
	('attributes_max_bytes', 'integer', '16384', '2', '262144', 'bytes of an attributes object, as JSON text'),
	('page_size', 'integer', '32', '1', '1000', 'rows of a page when the caller names no number'),
	('page_size_max', 'integer', '128', '1', '1000', 'rows of a page at most'),
	('query_length_max', 'integer', '256', '1', '4096', 'characters of a query of search_messages'),
	('query_words_max', 'integer', '32', '1', '256', 'words of a query of search_messages'),
	('ids_max', 'integer', '1000', '1', '10000', 'ids that one call may name: get_users, get_presence'),
	('direct_requires_connection', 'boolean', 'false', NULL, NULL, 'whether direct messages are for connected users only'),
	('approaches_max', 'integer', '1000', '1', '1000000', 'times within a day that one user may turn to strangers: invite them, open a direct chat with them, add them to a group, share a file with them; or join a room'),
	('approaches_to_one_max', 'integer', '50', '1', '1000000', 'of these, those to one stranger or room'),
	('invitations_max', 'integer', '1000', '1', '1000000', 'invitations of one user that nobody has answered'),
	('blocks_max', 'integer', '10000', '1', '1000000', 'users whom one user may block'),
	('presence_lease', 'interval', '30 seconds', '1 second', '1 hour', 'a gateway that has not renewed its lease for this long is dead, and its users offline'),
	('mentions_max', 'integer', '50', '1', '1000', 'users that one message may mention'),
	('members_max', 'integer', '100000', '2', '10000000', 'members of a chat'),
	('chats_max', 'integer', '10000', '1', '1000000', 'chats that one user may be in to open, make or join another, and groups and rooms that one user may have made'),
	('bans_max', 'integer', '20000', '1', '1000000', 'users who are banned from one chat'),
	('invite_links_max', 'integer', '100', '1', '100000', 'invite links of one chat'),
	('members_per_call_max', 'integer', '100', '1', '1000', 'users that one call may add'),
	('event_retention', 'interval', '30 days', '1 hour', '100 years', 'how long events other than messages are kept'),
	('outbox_retention', 'interval', '5 minutes', '1 minute', '1 day', 'how long rows stay in the outbox; a gateway that was away longer reads the event log'),
	('anyone_adds_members', 'boolean', 'false', NULL, NULL, 'whether members who are no admins may add others and make invite links'),
	('history_for_new_members', 'choice', 'all', NULL, 'all|none', 'whether who joins sees what was written before'),
	('receipts_max_members', 'integer', '100', '2', '10000', 'in larger chats nobody hears how far others have read, there are no typing and signals, and being in one shows nobody''s presence'),
	('reactions_max', 'integer', '20', '1', '100', 'different reactions of one message'),
	('message_retention', 'interval', '0 days', '0 days', '100 years', 'older messages are removed by maintenance; 0 days keeps them for good'),
	('keep_edits', 'boolean', 'true', NULL, NULL, 'whether bodies that an edit replaced are kept for list_message_edits'),
	('edits_max', 'integer', '1000', '1', '1000000', 'bodies that are kept of one message by keep_edits; it cannot be edited further'),
	('hidden_messages_max', 'integer', '50000', '1', '1000000', 'messages that one user may delete for themselves alone'),
	('pins_max', 'integer', '1000', '1', '100000', 'pinned messages of one chat'),
	('client_keys_max', 'integer', '50000', '1', '1000000', 'client keys of one user that are kept, for 7 days'),
	('scheduled_messages_max', 'integer', '100', '1', '10000', 'messages that one user may have scheduled'),
	('search_language', 'language', 'simple', NULL, NULL, 'text search configuration of search_messages; after a change maintenance indexes all messages again'),
	('message_files_max', 'integer', '20', '1', '1000', 'files that one message may carry'),
	('file_max_bytes', 'integer', '26214400', '1', '1099511627776', 'bytes of a file'),
	('file_types', 'mime types', '*/*', NULL, NULL, 'types that files may have, as image/*, application/pdf; what is claimed is checked against the first bytes'),
	('files_max', 'integer', '50000', '1', '1000000', 'files, links and uploads of one user; a deleted one counts till maintenance has removed it'),
	('file_shares_max', 'integer', '1000', '1', '100000', 'users with whom one file may be shared'),
	('file_quota', 'integer', '1073741824', '0', '1125899906842624', 'bytes of one user''s files and uploads together'),
	('upload_lifetime', 'interval', '1 day', '1 minute', '1 year', 'an upload that is not finished by then is dropped'),
	('sync_chat_limit', 'integer', '200', '1', '100000', 'missed events of one chat above which sync has it reloaded instead'),
	('sync_page_size', 'integer', '200', '1', '10000', 'events of a page of sync when the caller names no number'),
	('sync_page_size_max', 'integer', '1000', '1', '10000', 'events of a page of sync at most, and state records beside them'),
	('push_preview', 'boolean', 'true', NULL, NULL, 'whether pushes carry the beginning of the message'),
	('push_tokens_max', 'integer', '20', '1', '1000', 'devices of one user that get pushes'),
	('push_lease', 'interval', '1 minute', '1 second', '1 hour', 'how long a push worker has pushes to itself'),
	('push_retry_delay', 'interval', '10 seconds', '1 second', '1 hour', 'wait before a failed push is tried again; it doubles each time'),
	('push_attempts', 'integer', '8', '1', '30', 'failed tries after which a push is given up'),
	('push_lifetime', 'interval', '1 day', '1 minute', '1 year', 'a push that nobody could be given by then is dropped'),
	('maintenance_batch', 'integer', '1000', '1', '1000000', 'rows that one batch of a job of maintenance handles at most'),
	('maintenance_batch_time', 'interval', '20 milliseconds', '1 millisecond', '1 second', 'how long one batch may hold what others want, a chat first of all')
$$;
COMMENT ON FUNCTION chat.setting_defaults IS 'Every setting: its type (integer, boolean, interval, choice, language, mime types), default, lowest and highest value (of a choice: its words), and meaning.';

CREATE OR REPLACE FUNCTION chat.setting_text(name text)
RETURNS text LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_setting_text';
COMMENT ON FUNCTION chat.setting_text IS 'A setting''s present value as text; read from this backend''s memory.';

CREATE OR REPLACE FUNCTION chat.setting_integer(name text)
RETURNS bigint LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'chat_setting_integer';
COMMENT ON FUNCTION chat.setting_integer IS 'An integer setting''s present value; read from this backend''s memory.';

CREATE OR REPLACE FUNCTION chat.setting_boolean(name text)
RETURNS boolean LANGUAGE sql STABLE STRICT AS $$ SELECT chat.setting_text(setting_boolean.name)::boolean $$;
COMMENT ON FUNCTION chat.setting_boolean IS 'A boolean setting''s present value.';

CREATE OR REPLACE FUNCTION chat.setting_interval(name text)
RETURNS interval LANGUAGE sql STABLE STRICT AS $$ SELECT chat.setting_text(setting_interval.name)::interval $$;
COMMENT ON FUNCTION chat.setting_interval IS 'An interval setting''s present value.';

CREATE OR REPLACE FUNCTION chat.is_valid_setting(type text, value text, low text, high text)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT CASE is_valid_setting.type
		WHEN 'boolean' THEN is_valid_setting.value IN ('true', 'false')
		WHEN 'integer' THEN CASE WHEN is_valid_setting.value ~ '^-?[0-9]{1,18}$'
			THEN is_valid_setting.value::bigint BETWEEN is_valid_setting.low::bigint AND is_valid_setting.high::bigint ELSE false END
		WHEN 'interval' THEN CASE WHEN is_valid_setting.value ~ '^([0-9]{1,9} (millisecond|second|minute|hour|day|month)|[0-9]{1,8} year)s?$'
			THEN is_valid_setting.value::interval BETWEEN is_valid_setting.low::interval AND is_valid_setting.high::interval ELSE false END
		WHEN 'choice' THEN is_valid_setting.value = ANY (string_to_array(is_valid_setting.high, '|'))
		WHEN 'language' THEN EXISTS (SELECT FROM pg_catalog.pg_ts_config t
			WHERE t.cfgnamespace = 'pg_catalog'::regnamespace AND t.cfgname = is_valid_setting.value)
		WHEN 'mime types' THEN (SELECT bool_and(btrim(t) ~ '^(\*|[a-z0-9][a-z0-9.+-]*)/(\*|[a-z0-9][a-z0-9.+-]*)$')
			FROM string_to_table(is_valid_setting.value, ',') t)
		ELSE true
	END
$$;
COMMENT ON FUNCTION chat.is_valid_setting IS 'Whether value is of the type and in the range; intervals are written as a number and a unit: 15 minutes.';

CREATE OR REPLACE FUNCTION chat.list_settings()
RETURNS TABLE (name text, value text, type text, default_value text, low text, high text, description text, version bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT d.name, coalesce(s.value, d.default_value), d.type, d.default_value, d.low, d.high, d.description, coalesce(s.version, 0)
	  FROM chat.setting_defaults() d LEFT JOIN chat.settings s ON s.name = d.name
	 ORDER BY d.name
$$;
COMMENT ON FUNCTION chat.list_settings IS 'Every setting with its present value; version is 0 until it was changed.';
GRANT EXECUTE ON FUNCTION chat.list_settings TO chat_app, chat_gateway; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.set_setting(name text, value text, version bigint DEFAULT NULL)
RETURNS chat.settings LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	known record;
	present chat.settings;
BEGIN
	SELECT d.* INTO known FROM chat.setting_defaults() d WHERE d.name = set_setting.name;
	IF NOT FOUND THEN
		PERFORM chat.fail('no_such_setting');
	ELSIF chat.is_valid_setting(known.type, set_setting.value, known.low, known.high) IS NOT TRUE THEN
		PERFORM chat.fail('invalid_setting', NULL, CASE known.type
			WHEN 'boolean' THEN format('%s is true or false.', known.name)
			WHEN 'choice' THEN format('%s is one of %s.', known.name, known.high)
			WHEN 'language' THEN format('%s is a text search configuration of pg_catalog, as simple, english, german.', known.name)
			WHEN 'mime types' THEN format('%s is a list like image/*, application/pdf.', known.name)
			ELSE format('%s is of type %s, from %s to %s.', known.name, known.type, known.low, known.high) END);
	END IF;

	INSERT INTO chat.settings AS s (name, value, version)
	VALUES (set_setting.name, known.default_value, 0)
	ON CONFLICT ON CONSTRAINT settings_pkey DO NOTHING;
	SELECT s.* INTO present FROM chat.settings s WHERE s.name = set_setting.name FOR UPDATE;
	IF present.value = set_setting.value THEN
		RETURN present;
	ELSIF present.version <> set_setting.version THEN
		PERFORM chat.fail('stale_version');
	END IF;
	UPDATE chat.settings s SET value = set_setting.value, version = chat.take_id(s.version)
	 WHERE s.name = set_setting.name RETURNING s.* INTO present;
	NOTIFY chat_settings;
	RETURN present;
END
$$;
COMMENT ON FUNCTION chat.set_setting IS 'Changes a setting; every backend and gateway follows without a restart. version: the one that list_settings showed, NULL = whatever it is. MC404 no_such_setting; MC400 invalid_setting, with the range in HINT; MC409 stale_version when somebody changed it meanwhile to another value.';
GRANT EXECUTE ON FUNCTION chat.set_setting TO chat_app; -- since 0.1.0

CREATE OR REPLACE TRIGGER invalidate_cache AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON chat.settings
FOR EACH STATEMENT EXECUTE FUNCTION chat.invalidate_cache();
