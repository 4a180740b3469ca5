-- What every other file calls: errors, argument checks, passwords, what scripts need; and who owns what.
--
-- The rule for grants in all of api/: `GRANT …; -- since VERSION`, on one line, stands behind the function it is for. The Makefile
-- moves these lines to the script's end, behind 99_privileges.sql, for owners change before anything is granted: pg_init_privs, by
-- which pg_dump knows what an extension has granted itself, keeps the grantor of that moment. An update runs them all again for
-- pg_init_privs to be as after a fresh install, and leaves everybody with what they had before and what is newer than the version that it
-- starts from: it never gives back what an operator has revoked, nor takes what they have granted (updates/keep.sql, updates/restore.sql).
--
-- And for languages: SQL where PostgreSQL makes the function a part of the statement that calls it (expressions, and what stands in
-- FROM); what reads a table and answers a value is PL/pgSQL, for such a function in SQL is parsed and planned at every call.

CREATE OR REPLACE FUNCTION chat.fail(reason text, message text DEFAULT NULL, hint text DEFAULT NULL)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'chat_fail_sql';
COMMENT ON FUNCTION chat.fail IS 'Raises the error of chat.reasons() whose word is reason; message and hint replace its own where they say more. For functions in schema chat.';

CREATE OR REPLACE FUNCTION chat.reasons(OUT reason text, OUT sqlstate text, OUT message text, OUT hint text)
RETURNS SETOF record LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'chat_reasons';
COMMENT ON FUNCTION chat.reasons IS 'Every error this extension raises on purpose. DETAIL carries the reason, SQLSTATE is MC and an HTTP status.';
GRANT EXECUTE ON FUNCTION chat.reasons TO chat_app, chat_gateway; -- since 0.1.0

CREATE OR REPLACE FUNCTION chat.check_actor(actor_id bigint)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'chat_check_actor';
COMMENT ON FUNCTION chat.check_actor IS 'Raises MC401 not_authenticated when actor_id is NULL, or an account that is gone.';

CREATE OR REPLACE FUNCTION chat.check_length(value text, name text, low integer, high integer)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF char_length(value) > high OR char_length(value) < low THEN
		PERFORM chat.fail('invalid_argument', format('%s is not acceptable', name),
			format('Use %s to %s characters.', low, high));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_length IS 'Raises MC400 invalid_argument when value has not low to high characters; NULL passes.';

CREATE OR REPLACE FUNCTION chat.check_attributes(attributes jsonb)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF jsonb_typeof(attributes) <> 'object' THEN
		PERFORM chat.fail('invalid_argument', 'attributes is not acceptable', 'Give a JSON object.');
	ELSIF octet_length(attributes::text) > chat.setting_integer('attributes_max_bytes') THEN
		PERFORM chat.fail('too_large', 'attributes is too large',
			format('Use at most %s bytes.', chat.setting_integer('attributes_max_bytes')));
	END IF;
END
$$;
COMMENT ON FUNCTION chat.check_attributes IS 'Raises MC400 unless attributes is a JSON object or NULL, MC413 too_large when its text is over the setting attributes_max_bytes.';

CREATE OR REPLACE FUNCTION chat.page_size(wanted integer, name text DEFAULT 'page_size')
RETURNS integer LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF wanted < 1 THEN
		PERFORM chat.fail('invalid_argument', format('%s is not acceptable', name), 'Use 1 or more.');
	END IF;
	RETURN least(coalesce(wanted, chat.setting_integer('page_size')), chat.setting_integer('page_size_max'));
END
$$;
COMMENT ON FUNCTION chat.page_size IS 'Rows of a page: wanted, or the setting page_size, never more than page_size_max. MC400 under 1, with the parameter''s name.';

CREATE OR REPLACE FUNCTION chat.rfc3339(at timestamptz)
RETURNS text LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'chat_rfc3339';
COMMENT ON FUNCTION chat.rfc3339 IS 'The time as it stands in JSON: RFC 3339, UTC.';

CREATE OR REPLACE FUNCTION chat.to_json_years(at timestamptz)
RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT AS $$ SELECT least(to_json_years.at, '9999-12-31 00:00:00+00') $$;
COMMENT ON FUNCTION chat.to_json_years IS 'The time, at most the end of the years that RFC 3339 can write.';

CREATE OR REPLACE FUNCTION chat.invalidate_cache()
RETURNS trigger LANGUAGE c AS 'MODULE_PATHNAME', 'chat_invalidate_cache';
COMMENT ON FUNCTION chat.invalidate_cache IS 'Trigger: every backend reads this table again before its next use.';

-- pgcrypto's owner may be no superuser, move it, and leave functions of their own where it was: what is called is the member of the
-- extension, wherever it stands.
CREATE OR REPLACE FUNCTION chat.bcrypt(password text, salt text)
RETURNS text LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'chat_bcrypt';
COMMENT ON FUNCTION chat.bcrypt IS 'crypt(password, salt) of the extension pgcrypto.';

CREATE OR REPLACE FUNCTION chat.bcrypt_salt(cost integer)
RETURNS text LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'chat_bcrypt_salt';
COMMENT ON FUNCTION chat.bcrypt_salt IS 'gen_salt(''bf'', cost) of the extension pgcrypto.';

CREATE OR REPLACE FUNCTION chat.hash_password(password text)
RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT chat.bcrypt(encode(sha256(convert_to(hash_password.password, 'UTF8')), 'base64'),
		chat.bcrypt_salt(chat.setting_integer('password_cost')::integer))
$$;
COMMENT ON FUNCTION chat.hash_password IS 'bcrypt of base64(sha256(password)), as bcrypt reads 72 bytes at most and stops at NUL; cost by the setting password_cost.';

CREATE OR REPLACE FUNCTION chat.is_password(password text, password_hash text)
RETURNS boolean LANGUAGE sql STABLE AS $$
	SELECT chat.bcrypt(encode(sha256(convert_to(is_password.password, 'UTF8')), 'base64'), is_password.password_hash) = is_password.password_hash
$$;
COMMENT ON FUNCTION chat.is_password IS 'Whether password is the one behind password_hash; takes as long as the hash''s cost says.';

CREATE OR REPLACE FUNCTION chat.new_token()
RETURNS text LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'chat_new_token';
COMMENT ON FUNCTION chat.new_token IS '256 random bits in hex.';

CREATE OR REPLACE FUNCTION chat.as_operator(statement text)
RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'chat_as_operator';
COMMENT ON FUNCTION chat.as_operator IS 'For install and update scripts: runs a GRANT or REVOKE as if it stood outside of the script, so that pg_dump tells of it.';
