-- Ids below this are safe to use: read and raised by extension/clock.c, 2 seconds of ids at a time.
CREATE SEQUENCE chat.id_ceiling MINVALUE 1 START 1 CACHE 1;
COMMENT ON SEQUENCE chat.id_ceiling IS 'Every id made so far has a tick (milliseconds since 2025 * 4096 + sequence) below this, also after a crash.';
SELECT pg_catalog.pg_extension_config_dump('chat.id_ceiling', '');
