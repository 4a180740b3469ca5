CREATE OR REPLACE FUNCTION chat.next_id(after_id bigint DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_next_id';
COMMENT ON FUNCTION chat.next_id IS 'A new id: 41 bits milliseconds since 2025-01-01T00:00Z, 10 bits chat.node_id, 12 bits sequence. Greater than every id this server has made and than after_id, whatever the wall clock does, also after a restart, crash or failover. MC400 id_in_future when after_id is more than 60 s ahead of the clock, MC400 invalid_id when it is negative; 25006 on a standby and in read-only transactions.';
GRANT EXECUTE ON FUNCTION chat.next_id TO chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.take_id(after_id bigint DEFAULT NULL)
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_take_id';
COMMENT ON FUNCTION chat.take_id IS 'next_id() for a row of ours: the transaction remembers that it took the id, and only such rows are published.';

CREATE OR REPLACE FUNCTION chat.id_time(id bigint)
RETURNS timestamptz LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_id_time';
COMMENT ON FUNCTION chat.id_time IS 'When the id was made, in milliseconds.';
GRANT EXECUTE ON FUNCTION chat.id_time TO chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.id_at(at timestamptz)
RETURNS bigint LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_id_at';
COMMENT ON FUNCTION chat.id_at IS 'The lowest id of that millisecond; 0 before 2025, the greatest bigint after 2094.';
GRANT EXECUTE ON FUNCTION chat.id_at TO chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.id_parts(id bigint, OUT at timestamptz, OUT node integer, OUT sequence integer)
RETURNS record LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
	SELECT chat.id_time(id_parts.id), (id_parts.id >> 12 & 1023)::integer, (id_parts.id & 4095)::integer
$$;
COMMENT ON FUNCTION chat.id_parts IS 'What an id is made of.';
GRANT EXECUTE ON FUNCTION chat.id_parts TO chat_app; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.horizon()
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_horizon';
COMMENT ON FUNCTION chat.horizon IS 'An id such that every transaction that has taken one at or below it has ended: whoever looks after this call, in a statement of its own, sees all they wrote. It may step back a little; keep the greatest. With the library preloaded it is exact, an open transaction that has changed a chat holds it back; else it is now - chat.horizon_overlap (10 s), and a transaction that took its first id longer than half of that ago fails at its commit with MC503 transaction_too_old. 25006 on a standby.';
GRANT EXECUTE ON FUNCTION chat.horizon TO chat_app, chat_gateway, chat_monitor; -- since 0.2.0

CREATE OR REPLACE FUNCTION chat.last_id()
RETURNS bigint LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'chat_last_id';
COMMENT ON FUNCTION chat.last_id IS 'The last id that this server has made, or one that it will not make any more.';
