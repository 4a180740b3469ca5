-- Creating calls that carry a client_key happen once. A function asks client_key_result first, and when that is NULL makes
-- its thing and ends with save_client_key. Both do nothing without a key.

-- The bare row is the claim: who comes second with the same key waits at it for the first one's end.
CREATE OR REPLACE FUNCTION chat.client_key_result(user_id bigint, kind text, client_key text, request jsonb)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	known chat.client_keys;
BEGIN
	IF client_key_result.client_key IS NULL THEN
		RETURN NULL;
	END IF;
	PERFORM chat.check_length(client_key_result.client_key, 'client_key', 1, 64);
	INSERT INTO chat.client_keys (user_id, client_key) VALUES (client_key_result.user_id, client_key_result.client_key)
	ON CONFLICT ON CONSTRAINT client_keys_pkey DO NOTHING;
	IF FOUND THEN
		PERFORM chat.check_limit('client_keys_max', (SELECT count(*) - 1 FROM (SELECT FROM chat.client_keys k
			WHERE k.user_id = client_key_result.user_id LIMIT chat.setting_integer('client_keys_max') + 1) k), 'too_many_client_keys');
	END IF;
	SELECT k.* INTO known FROM chat.client_keys k
	 WHERE k.user_id = client_key_result.user_id AND k.client_key = client_key_result.client_key;
	IF known.kind <> client_key_result.kind OR known.request_hash <> chat.request_hash(client_key_result.request) THEN
		PERFORM chat.fail('client_key_reused');
	END IF;
	RETURN known.result_id;
END
$$;
COMMENT ON FUNCTION chat.client_key_result IS 'Id of what this user''s call of this kind has already made under this key; NULL: nothing yet, and nobody else can make it before this transaction ends. MC409 client_key_reused when the key stands for another kind or request; MC400 invalid_argument for a key that has not 1 to 64 characters; MC429 too_many_client_keys by the setting client_keys_max.';

CREATE OR REPLACE FUNCTION chat.save_client_key(user_id bigint, kind text, client_key text, request jsonb, result_id bigint)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE chat.client_keys k
	   SET kind = save_client_key.kind, request_hash = chat.request_hash(save_client_key.request), result_id = save_client_key.result_id
	 WHERE k.user_id = save_client_key.user_id AND k.client_key = save_client_key.client_key;
END
$$;
COMMENT ON FUNCTION chat.save_client_key IS 'Notes what was made under the key that client_key_result has claimed.';

CREATE OR REPLACE FUNCTION chat.request_hash(request jsonb)
RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT sha256(convert_to(request_hash.request::text, 'UTF8')) $$;
COMMENT ON FUNCTION chat.request_hash IS 'The same for the same arguments, however they were written.';

CREATE OR REPLACE FUNCTION chat.expire_client_keys(batch integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
	expired integer;
BEGIN
	WITH old AS (
		SELECT k.user_id, k.client_key FROM chat.client_keys k
		 WHERE k.result_id < chat.id_at(now() - interval '7 days') LIMIT expire_client_keys.batch FOR UPDATE SKIP LOCKED
	)
	DELETE FROM chat.client_keys k USING old WHERE k.user_id = old.user_id AND k.client_key = old.client_key;
	GET DIAGNOSTICS expired = ROW_COUNT;
	RETURN expired;
END
$$;
COMMENT ON FUNCTION chat.expire_client_keys IS 'A job: forgets at most batch keys older than 7 days, and answers how many.';
