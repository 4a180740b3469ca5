CREATE TABLE chat.push_tokens (
	token text PRIMARY KEY CHECK (octet_length(token) BETWEEN 1 AND 2048),
	user_id bigint NOT NULL,
	platform text NOT NULL CHECK (platform ~ '^[a-z0-9_-]{1,32}$'),
	session_id bigint REFERENCES chat.sessions (id) ON DELETE CASCADE
);
CREATE INDEX push_tokens_user ON chat.push_tokens (user_id);
CREATE INDEX push_tokens_session ON chat.push_tokens (session_id);
COMMENT ON TABLE chat.push_tokens IS 'Devices that get pushes, by the token that their platform''s push service knows them by.';
COMMENT ON COLUMN chat.push_tokens.session_id IS 'The login that registered it, with which it ends; NULL when the app did.';
SELECT pg_catalog.pg_extension_config_dump('chat.push_tokens', '');

CREATE TABLE chat.push_queue (
	message_id bigint PRIMARY KEY,
	chat_id bigint NOT NULL
);
COMMENT ON TABLE chat.push_queue IS 'Messages that somebody may have to be pushed; take_pushes makes chat.pushes of them.';
SELECT pg_catalog.pg_extension_config_dump('chat.push_queue', '');

CREATE TABLE chat.pushes (
	id bigint PRIMARY KEY,
	user_id bigint NOT NULL,
	token text NOT NULL,
	chat_id bigint NOT NULL,
	message_id bigint NOT NULL,
	attempts integer NOT NULL DEFAULT 0,
	due_at timestamptz NOT NULL DEFAULT now(),
	taken boolean NOT NULL DEFAULT false,
	error text
);
CREATE INDEX pushes_user ON chat.pushes (user_id, id);
COMMENT ON TABLE chat.pushes IS 'Pushes of one message to one device, until they are finished, cancelled or given up.';
COMMENT ON COLUMN chat.pushes.attempts IS 'How often it was tried in vain; the last error is beside it.';
COMMENT ON COLUMN chat.pushes.taken IS 'A worker has it, as long as push_users.due_at says.';
SELECT pg_catalog.pg_extension_config_dump('chat.pushes', '');

-- Its row is the lock that gives one user's pushes to one worker at a time.
CREATE TABLE chat.push_users (
	user_id bigint PRIMARY KEY,
	due_at timestamptz NOT NULL,
	worker text
);
COMMENT ON TABLE chat.push_users IS 'Users with pushes.';
COMMENT ON COLUMN chat.push_users.due_at IS 'When to look at him again: the end of the worker''s lease, or of the shortest back-off.';
COMMENT ON COLUMN chat.push_users.worker IS 'Who has his pushes till then; NULL = nobody.';
SELECT pg_catalog.pg_extension_config_dump('chat.push_users', '');
