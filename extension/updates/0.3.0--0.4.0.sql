-- State of 0.4.0 for a database made by 0.3.0. Functions of our own whose arguments or results have changed are dropped here
-- and made again by what follows; what they were granted stands in chat.kept_grants till then.

-- member: who shows presence where. What is not known of rows of before says chat.shows_presence.
ALTER TABLE chat.members ADD COLUMN wrote boolean NOT NULL DEFAULT false, ADD COLUMN added_by bigint;
COMMENT ON COLUMN chat.members.wrote IS 'They have sent a message here since they came in.';
COMMENT ON COLUMN chat.members.added_by IS 'Who let them in: they themselves, or a member. NULL: it is a direct chat, or a release before 0.4.0 did not note it.';

-- message: what was pinned after somebody's leaving is not for them.
ALTER TABLE chat.messages ADD COLUMN pinned_id bigint;
COMMENT ON COLUMN chat.messages.pinned_id IS 'Event that pinned it; NULL: it is not pinned, or a release before 0.4.0 did not note it.';
