-- What find_events and its callers hand on: which events of which chats somebody is to be told.
CREATE TYPE chat.event_range AS (
	chat_id bigint,
	low bigint,
	high bigint,
	first_id bigint,
	reset_id bigint
);
COMMENT ON TYPE chat.event_range IS 'Events of one chat: those above low, up to high. first_id: none of them is before it; NULL = there are none. reset_id: instead of all up to there, chat_reset is told.';
