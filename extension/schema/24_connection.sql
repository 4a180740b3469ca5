CREATE TABLE chat.connections (
	low_user_id bigint NOT NULL,
	high_user_id bigint NOT NULL CHECK (high_user_id > low_user_id),
	state text NOT NULL CHECK (state IN ('none', 'pending', 'connected')),
	target_user_id bigint CHECK (target_user_id IN (low_user_id, high_user_id)),
	version bigint NOT NULL,
	PRIMARY KEY (low_user_id, high_user_id),
	CHECK ((state = 'pending') = (target_user_id IS NOT NULL))
);
CREATE INDEX connections_high ON chat.connections (high_user_id, low_user_id);
CREATE INDEX connections_low_version ON chat.connections (low_user_id, version);
CREATE INDEX connections_high_version ON chat.connections (high_user_id, version);
-- By who has invited: of the two, the one who is not target_user_id.
CREATE INDEX connections_inviter ON chat.connections ((low_user_id # high_user_id # target_user_id)) WHERE state = 'pending';
COMMENT ON TABLE chat.connections IS 'Contacts: one row for each pair of users that ever had to do with each other; state none when it is over.';
COMMENT ON COLUMN chat.connections.target_user_id IS 'Who is invited; NULL unless pending.';
COMMENT ON COLUMN chat.connections.version IS 'Id of the last change.';
SELECT pg_catalog.pg_extension_config_dump('chat.connections', '');

CREATE TABLE chat.blocks (
	blocker_id bigint NOT NULL,
	blocked_id bigint NOT NULL CHECK (blocked_id <> blocker_id),
	id bigint NOT NULL,
	PRIMARY KEY (blocker_id, blocked_id)
);
CREATE INDEX blocks_blocked ON chat.blocks (blocked_id);
COMMENT ON TABLE chat.blocks IS 'Who wants to have nothing to do with whom; the id tells since when.';
SELECT pg_catalog.pg_extension_config_dump('chat.blocks', '');
