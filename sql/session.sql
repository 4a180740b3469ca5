-- Sessions: logging in by password, by the app, out, and the throttle.
\set SHOW_CONTEXT never
SELECT user_name FROM chat.register_user('sam', 'open sesame', 'Sam');
SELECT token AS token, session_id AS session FROM chat.log_in('sam', 'open sesame', 'phone', '192.0.2.1') \gset
SELECT :'token' ~ '^[0-9a-f]{64}$' AS random;
SELECT user_id = test.user('sam') AS same, session_id = :session AS session, channel = chat.user_channel(test.user('sam')) AS channel,
	expires_at > now() + interval '29 days' AS lasts FROM chat.open_session(:'token', '192.0.2.7');
-- Only a hash of the token is kept.
SELECT count(*) FROM chat.sessions s WHERE s::text LIKE '%' || :'token' || '%';
SELECT profile ->> 'user_name' AS name, profile - 'id' - 'version' - 'created_at' AS profile, error FROM chat.log_in('SAM', 'open sesame');
SELECT device_name, address, is_current FROM chat.list_sessions(test.user('sam'), :session);

-- A failed attempt is an answer; wrong password and unknown user look alike.
SELECT token, session_id, user_id, profile, error FROM chat.log_in('sam', 'open says me');
SELECT error = (SELECT error FROM chat.log_in('sam', '')) AS alike FROM chat.log_in('nobody', 'open sesame');
SELECT error ->> 'reason' AS reason FROM chat.log_in('sam', NULL);
SELECT error ->> 'reason' AS reason FROM chat.log_in(NULL, NULL);
SELECT test.error('SELECT chat.log_in(''sam'', ''open sesame'', repeat(''x'', 129))');
-- A user without password cannot log in by one.
SELECT user_name FROM chat.create_user('sso_only');
SELECT error ->> 'reason' AS reason FROM chat.log_in('sso_only', '');

-- The throttle counts per user and address together, so that a stranger's guesses lock nobody else out; it forgets after the window.
SELECT name, value FROM chat.set_setting('login_failures_per_user', '3');
DELETE FROM chat.login_failures;
SELECT error ->> 'reason' AS reason FROM generate_series(1, 4), LATERAL chat.log_in('sam', 'wrong ' || generate_series, NULL, '192.0.2.9');
SELECT error ->> 'reason' AS reason, (error ->> 'retry_after_ms')::int BETWEEN 1 AND 900000 AS wait FROM chat.log_in('sam', 'open sesame', NULL, '192.0.2.9');
SELECT error AS elsewhere FROM chat.log_in('sam', 'open sesame', NULL, '192.0.2.1');
SELECT error AS without_address FROM chat.log_in('sam', 'open sesame');
UPDATE chat.login_failures SET window_ends_at = now() - interval '1 second';
SELECT error FROM chat.log_in('sam', 'open sesame', NULL, '192.0.2.9');
SELECT subject FROM chat.login_failures WHERE subject LIKE 'pair:%';
-- Of IPv6, the /64 is one address, and an IPv4 address in IPv6's clothes is itself.
SELECT error ->> 'reason' AS reason FROM generate_series(1, 3) n, LATERAL chat.log_in('sam', 'wrong', NULL, ('2001:db8:0:1::' || n)::inet);
SELECT error ->> 'reason' AS reason FROM chat.log_in('sam', 'open sesame', NULL, '2001:db8:0:1:ffff::1');
SELECT error FROM chat.log_in('sam', 'open sesame', NULL, '2001:db8:0:2::1');
SELECT chat.network(a) FROM unnest(ARRAY['192.0.2.7', '192.0.2.7/24', '::ffff:192.0.2.7', '2001:db8:1:2:3:4:5:6', '::1', NULL]::inet[]) a;
-- From very many addresses, the name alone counts: but nowhere where its owner has logged in before.
SELECT value FROM chat.set_setting('login_failures_per_name', '5');
DELETE FROM chat.login_failures;
SELECT error ->> 'reason' AS reason FROM generate_series(1, 6) n, LATERAL chat.log_in('sam', 'wrong', NULL, ('198.51.100.' || n)::inet);
SELECT error ->> 'reason' AS unknown FROM chat.log_in('sam', 'open sesame', NULL, '203.0.113.1');
SELECT error AS known FROM unnest(ARRAY['192.0.2.9', '2001:db8:0:2::99', NULL]::inet[]) a, LATERAL chat.log_in('sam', 'open sesame', NULL, a);
-- A guesser in his own network locks out at most that.
SELECT error ->> 'reason' AS reason FROM generate_series(1, 4) n, LATERAL chat.log_in('sam', 'wrong ' || n, NULL, '192.0.2.9');
SELECT error AS known FROM chat.log_in('sam', 'open sesame', NULL, '192.0.2.1');
SELECT value FROM chat.set_setting('login_failures_per_name', '1000');
DELETE FROM chat.login_failures;
-- Twenty networks are remembered, for a year.
SELECT count(error) AS failed FROM generate_series(1, 25) n, LATERAL chat.log_in('sam', 'open sesame', NULL, ('203.0.113.' || n)::inet);
SELECT count(*) FROM chat.login_networks WHERE user_id = test.user('sam');
UPDATE chat.login_networks SET last_at = now() - interval '400 days' WHERE user_id = test.user('sam');
SELECT error FROM chat.log_in('sam', 'open sesame', NULL, '192.0.2.1');
SELECT network FROM chat.login_networks WHERE user_id = test.user('sam');
SELECT name, value FROM chat.set_setting('login_failures_per_address', '3');
SELECT error ->> 'reason' AS reason FROM generate_series(1, 4), LATERAL chat.log_in('sam' || generate_series, 'wrong', NULL, '192.0.2.10');
SELECT error ->> 'reason' AS reason FROM chat.log_in('sam', 'open sesame', NULL, '192.0.2.10');
SELECT error FROM chat.log_in('sam', 'open sesame', NULL, '192.0.2.11');
-- Nor does an address at fault shut out those who have logged in from it before.
SELECT error ->> 'reason' AS reason FROM generate_series(1, 4), LATERAL chat.log_in('sam' || generate_series, 'wrong', NULL, '192.0.2.1');
SELECT error FROM chat.log_in('sam', 'open sesame', NULL, '192.0.2.1');
SELECT value FROM chat.set_setting('login_failures_per_user', '10');
SELECT value FROM chat.set_setting('login_failures_per_address', '100');
DELETE FROM chat.login_failures;

-- Another cost re-hashes at the next login.
SELECT value FROM chat.set_setting('password_cost', '5');
SELECT error FROM chat.log_in('sam', 'open sesame');
SELECT substr(password_hash, 1, 7) AS cost FROM chat.users WHERE user_name = 'sam';
SELECT error FROM chat.log_in('sam', 'open sesame');
SELECT value FROM chat.set_setting('password_cost', '4');
SELECT error FROM chat.log_in('sam', 'open sesame');
SELECT substr(password_hash, 1, 7) AS cost FROM chat.users WHERE user_name = 'sam';

-- A failed attempt makes as many rounds of hashing for a name that nobody has as for any that somebody has, whatever cost his
-- password was hashed with: as many as the dearest hash takes.
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['cost_none', 'cost_4', 'cost_7', 'cost_9', 'cost_gone', 'cost_suspended']) name) made;
UPDATE chat.users SET password_hash = '$2a$0' || right(user_name, 1) || '$' || repeat('.', 53) WHERE user_name ~ 'cost_[479]';
UPDATE chat.users SET password_hash = '$2a$06$' || repeat('.', 53), suspended_until = 'infinity' WHERE user_name = 'cost_suspended';
SELECT chat.erase_user(test.user('cost_gone'));
BEGIN;
CREATE TABLE test.rounds (number bigint);
GRANT INSERT ON test.rounds TO chat_owner;
CREATE OR REPLACE FUNCTION chat.is_password(password text, password_hash text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO test.rounds SELECT 2 ^ substr(is_password.password_hash, 5, 2)::integer WHERE is_password.password_hash IS NOT NULL;
	RETURN false;
END
$$;
CREATE FUNCTION test.rounds(name text) RETURNS TABLE (reason text, rounds numeric) LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM test.rounds;
	reason := (SELECT l.error ->> 'reason' FROM chat.log_in(name, 'wrong') l);
	rounds := (SELECT sum(number) FROM test.rounds);
	RETURN NEXT;
END
$$;
SELECT name, r.* FROM unnest(ARRAY['cost_nobody', 'cost_none', 'cost_4', 'cost_7', 'cost_9', 'deleted.1', 'cost_suspended', '', NULL]) name, test.rounds(name) r;
-- A setting above all of them counts too.
SELECT value FROM chat.set_setting('password_cost', '10');
SELECT name, r.* FROM unnest(ARRAY['cost_nobody', 'cost_4', 'cost_9']) name, test.rounds(name) r;
ROLLBACK;
UPDATE chat.users SET password_hash = NULL WHERE user_name LIKE 'cost\_%';
DELETE FROM chat.login_failures;

-- Refreshing, expiry, suspension
UPDATE chat.sessions SET expires_at = now() + interval '1 minute' WHERE id = :session;
SELECT session_id = :session AS same, expires_at > now() + interval '29 days' AS later FROM chat.refresh_session(test.user('sam'), :session);
UPDATE chat.sessions SET expires_at = now() - interval '1 second' WHERE id = :session;
SELECT test.error(format('SELECT chat.open_session(%L)', :'token'));
SELECT test.error(format('SELECT chat.refresh_session(%s, %s)', test.user('sam'), :session));
SELECT test.error('SELECT chat.open_session(''nonsense'')');
SELECT test.error('SELECT chat.open_session(NULL)');
UPDATE chat.users SET suspended_until = 'infinity' WHERE user_name = 'sam';
SELECT test.error('SELECT chat.log_in(''sam'', ''open sesame'')');
SELECT error ->> 'reason' AS reason FROM chat.log_in('sam', 'wrong');
SELECT test.error(format('SELECT chat.create_session(%s)', test.user('sam')));
UPDATE chat.users SET suspended_until = NULL WHERE user_name = 'sam';

-- Sessions that the app opens
SELECT token AS token, session_id AS session FROM chat.create_session(test.user('sso_only'), 'kiosk', '1 hour') \gset
SELECT user_id = test.user('sso_only') AS same, expires_at BETWEEN now() + interval '59 minutes' AND now() + interval '61 minutes' AS hour FROM chat.open_session(:'token');
SELECT test.error('SELECT chat.create_session(1)');
SELECT test.error(format('SELECT chat.create_session(%s, lifetime => ''-1 hour'')', test.user('sso_only')));

-- Ending them: only one's own
SELECT test.error(format('SELECT chat.revoke_session(%s, %s)', test.user('sam'), :session));
SELECT chat.log_out(test.user('sam'), :session);
SELECT user_id = test.user('sso_only') AS still FROM chat.open_session(:'token');
SELECT chat.log_out(test.user('sso_only'), :session);
SELECT chat.log_out(test.user('sso_only'), :session);
SELECT test.error(format('SELECT chat.open_session(%L)', :'token'));
SELECT session_id AS session FROM chat.create_session(test.user('sso_only')) \gset
SELECT chat.revoke_session(test.user('sso_only'), :session);
SELECT test.error(format('SELECT chat.revoke_session(%s, %s)', test.user('sso_only'), :session));
SELECT count(*) FROM chat.list_sessions(test.user('sso_only'));
SELECT test.error('SELECT chat.log_out(NULL, 1)'), test.error('SELECT chat.list_sessions(NULL)');
SELECT test.error('SELECT chat.revoke_session(NULL, 1)'), test.error('SELECT chat.refresh_session(NULL, 1)');

-- Changing the password ends the other sessions, and needs the old one.
SELECT user_name FROM chat.register_user('pam', 'first secret', 'Pam');
SELECT test.user('pam') AS pam, session_id AS session, profile ->> 'version' AS version FROM chat.log_in('pam', 'first secret', 'phone') \gset
SELECT error FROM chat.log_in('pam', 'first secret', 'tablet');
SELECT device_name FROM chat.list_sessions(:pam);
SELECT error ->> 'reason' AS reason, profile FROM chat.change_password(:pam, :session, 'wrong secret', 'second secret');
SELECT test.error(format('SELECT chat.change_password(%s, %s, ''first secret'', ''short'')', :pam, :session));
SELECT test.error(format('SELECT chat.change_password(%s, %s, ''first secret'', ''second secret'', 1)', :pam, :session));
SELECT count(*) FROM chat.list_sessions(:pam);
SELECT error, profile ->> 'user_name' AS name, (profile ->> 'version')::bigint > :version AS newer FROM chat.change_password(:pam, :session, 'first secret', 'second secret', :version);
SELECT device_name FROM chat.list_sessions(:pam);
SELECT error ->> 'reason' AS reason FROM chat.log_in('pam', 'first secret');
SELECT error FROM chat.log_in('pam', 'second secret');
-- Guessing outside, from anywhere, keeps nobody from it inside a session of his own.
SELECT value FROM chat.set_setting('login_failures_per_user', '3');
SELECT error ->> 'reason' AS reason FROM generate_series(1, 4), LATERAL chat.log_in('pam', 'guess ' || generate_series);
SELECT error FROM chat.change_password(:pam, :session, 'second secret', 'second secret');
-- Guessing inside a session is throttled as logging in is, by a count of its own.
SELECT error ->> 'reason' AS reason FROM generate_series(1, 4), LATERAL chat.change_password(:pam, :session, 'guess ' || generate_series, 'third secret');
SELECT error ->> 'reason' AS reason FROM chat.delete_account(:pam, 'second secret');
SELECT error FROM chat.log_in('pam', 'second secret', NULL, '192.0.2.1');
SELECT value FROM chat.set_setting('login_failures_per_user', '10');
DELETE FROM chat.login_failures;
-- The app can set one, also for who had none; that ends all sessions.
SELECT user_name FROM chat.set_password(:pam, 'third secret');
SELECT count(*) FROM chat.list_sessions(:pam);
SELECT error FROM chat.log_in('pam', 'third secret');
SELECT test.error(format('SELECT chat.change_password(%s, 1, '''', ''first secret'')', test.user('sso_only')));
SELECT user_name FROM chat.set_password(test.user('sso_only'), 'first secret');
SELECT error FROM chat.log_in('sso_only', 'first secret');
SELECT test.error(format('SELECT chat.set_password(%s, ''short'')', :pam)), test.error('SELECT chat.set_password(1, ''first secret'')');

-- All but this one
SELECT session_id AS session FROM chat.log_in('pam', 'third secret', 'phone') \gset
SELECT count(*) FROM chat.list_sessions(:pam);
SELECT chat.revoke_other_sessions(:pam, :session);
SELECT device_name FROM chat.list_sessions(:pam, :session);
SELECT test.error('SELECT chat.revoke_other_sessions(NULL, 1)'), test.error('SELECT chat.change_password(NULL, 1, '''', '''')');

-- Suspension ends them all.
SELECT user_name FROM chat.suspend_user(:pam);
SELECT count(*) FROM chat.list_sessions(:pam);
SELECT test.error('SELECT chat.log_in(''pam'', ''third secret'')');
SELECT user_name FROM chat.suspend_user(:pam, now());

-- A verified identity of elsewhere: on first sight it makes a user, if that is allowed.
SELECT value FROM chat.set_setting('external_sign_up', 'false');
SELECT test.error('SELECT chat.log_in_external(''https://id.example'', ''s-1'', ''{"preferred_username": "Otto.X"}'')');
SELECT count(*) FROM chat.users WHERE external_subject = 's-1';
SELECT value FROM chat.set_setting('external_sign_up', 'true');
SELECT profile - 'id' - 'version' - 'created_at' AS profile, token ~ '^[0-9a-f]{64}$' AS token FROM chat.log_in_external('https://id.example', 's-1',
	'{"preferred_username": "Otto.X", "name": " Otto Xaver ", "email": "otto@example.org", "phone_number": "+49 1", "groups": [1]}', 'laptop', '192.0.2.1');
-- Afterwards it is found, whatever the claims and the setting say; its profile is its own.
SELECT value FROM chat.set_setting('external_sign_up', 'false');
SELECT user_id = test.user('otto.x') AS same, profile ->> 'display_name' AS name, profile ->> 'email' AS email FROM chat.log_in_external('https://id.example', 's-1', '{"name": "Other", "email": "other@example.org"}');
SELECT device_name, address FROM chat.list_sessions(test.user('otto.x'));
SELECT value FROM chat.set_setting('external_sign_up', 'true');
-- Names that are taken, odd or missing; mail that was not verified.
SELECT regexp_replace(profile ->> 'user_name', '[0-9]{15,}', 'ID') AS user_name, regexp_replace(profile ->> 'display_name', '[0-9]{15,}', 'ID') AS display_name, profile ->> 'email' AS email
  FROM unnest(ARRAY['{"preferred_username": "otto.x"}', '{"preferred_username": "x"}', '{"name": "Ötzi  the Iceman", "email": "o@example.org", "email_verified": false}',
		'{}', NULL, '{"preferred_username": "deleted.7"}', '{"name": 7, "email": [1], "preferred_username": {"a": "b"}}']::jsonb[]) WITH ORDINALITY AS c (claims, number),
	LATERAL chat.log_in_external('https://id.example', 'odd-' || number, claims) ORDER BY number;
-- Providers say it as a boolean or as a text; what says neither true nor nothing is not verified.
SELECT verified, profile ->> 'email' AS email, profile ->> 'phone' AS phone
  FROM unnest(ARRAY['true', '"true"', 'false', '"false"', 'null', '0', '1', '"yes"', '[]']::jsonb[]) WITH ORDINALITY AS v (verified, number),
	LATERAL chat.log_in_external('https://id.example', 'verified-' || number,
		jsonb_build_object('email', 'v@example.org', 'email_verified', verified, 'phone_number', '+49 1', 'phone_number_verified', verified)) ORDER BY number;
SELECT count(DISTINCT user_id) FROM generate_series(1, 3), LATERAL chat.log_in_external('https://id.example', 's-1');
SELECT user_name FROM chat.suspend_user(test.user('otto.x'));
SELECT test.error('SELECT chat.log_in_external(''https://id.example'', ''s-1'')');
SELECT test.error('SELECT chat.log_in_external(''https://id.example'', '''')'), test.error('SELECT chat.log_in_external(NULL, ''s-1'')');
SELECT test.error('SELECT chat.log_in_external(''https://id.example'', ''s-2'', ''[]'')');

SELECT user_name FROM chat.suspend_user(test.user('otto.x'), now());

-- An access token: one session for each login at the provider, else for each token; its time is the token's.
CREATE FUNCTION test.access(claims jsonb, lasts interval DEFAULT '5 minutes', address inet DEFAULT NULL)
RETURNS TABLE (user_id bigint, session_id bigint, expires_at timestamptz, channel text) LANGUAGE sql AS $$
	SELECT * FROM chat.open_external_session('https://id.example', 's-1', access.claims, now() + access.lasts, access.address)
$$;
SELECT session_id AS first, user_id = test.user('otto.x') AS same, expires_at BETWEEN now() + interval '4 minutes' AND now() + interval '5 minutes' AS lasts,
	channel = chat.user_channel(user_id) AS channel FROM test.access('{"sid": "a", "jti": "1", "client_id": "web", "iat": 1700000000}', address => '192.0.2.9') \gset
SELECT :'same' AS same, :'lasts' AS lasts, :'channel' AS channel;
SELECT session_id = :first AS again, expires_at > now() + interval '6 minutes' AS longer FROM test.access('{"sid": "a", "jti": "2", "iat": 1700000001}', '7 minutes');
SELECT session_id = :first AS again, expires_at > now() + interval '6 minutes' AS still FROM test.access('{"sid": "a", "jti": "1", "iat": 1700000000}', '1 minute');
SELECT session_id = :first AS again FROM test.access('{"sid": "b", "jti": "2"}');
SELECT count(DISTINCT session_id) FROM unnest(ARRAY['{"jti": "1"}', '{"jti": "1", "iat": 5}', '{"jti": "2"}', '{"jti": 1}', '{"jti": 1}', '{"jti": 2}', '{"sid": "1"}']::jsonb[]) c (claims), LATERAL test.access(claims);
SELECT device_name, address FROM chat.list_sessions(test.user('otto.x')) WHERE id = :first;
SELECT test.error('SELECT chat.refresh_session(test.user(''otto.x''), ' || :first || ')');
-- Once it was ended, what was issued before does not open it again; what is issued later does.
SELECT chat.log_out(test.user('otto.x'), :first);
SELECT test.error('SELECT test.access(''{"sid": "a", "jti": "1", "iat": 1700000000}'')');
SELECT test.error('SELECT test.access(''{"sid": "a", "jti": "3"}'')'), test.error('SELECT test.access(''{"sid": "a", "iat": "x"}'')');
SELECT count(*) FROM chat.sessions WHERE id = :first;
SELECT session_id > :first AS new FROM test.access(jsonb_build_object('sid', 'a', 'iat', extract(epoch FROM now()) + 1));
SELECT chat.revoke_other_sessions(test.user('otto.x'), 0);
SELECT test.error('SELECT test.access(''{"jti": "1", "iat": 5}'')'), test.error('SELECT test.access(''{"jti": 2}'')');
SELECT test.error('SELECT test.access(''{"jti": "9"}'', ''0'')');
-- One that ran out leaves nothing behind, and a fresh token goes on with it.
SELECT session_id AS third FROM test.access('{"sid": "c"}') \gset
UPDATE chat.sessions SET expires_at = now() WHERE id = :third;
SELECT session_id = :third AS again FROM test.access('{"sid": "c"}');
UPDATE chat.sessions SET expires_at = now() WHERE id = :third;
SELECT chat.expire_sessions(1000) > 0 AS some;
SELECT session_id > :third AS new FROM test.access('{"sid": "c"}');
-- The ends are forgotten when no token can be as old.
SELECT count(*) > 5 AS kept, min(forget_at) > now() + interval '29 days' AS long FROM chat.ended_sessions;
UPDATE chat.ended_sessions SET forget_at = now();
SELECT chat.expire_sessions(1000) > 5 AS some;
SELECT count(*) FROM chat.ended_sessions;
SELECT user_name FROM chat.suspend_user(test.user('otto.x'));
SELECT test.error('SELECT test.access(''{"jti": "1"}'')');
SELECT test.error('SELECT chat.open_external_session(''https://id.example'', '''', ''{}'', now() + interval ''1 hour'')');
SELECT value FROM chat.set_setting('external_sign_up', 'false');
SELECT test.error('SELECT chat.open_external_session(''https://id.example'', ''s-9'', ''{}'', now() + interval ''1 hour'')');
SELECT value FROM chat.set_setting('external_sign_up', 'true');
DELETE FROM chat.ended_sessions;

-- Maintenance
SELECT session_id IS NOT NULL AS opened FROM chat.create_session(:pam);
UPDATE chat.sessions SET expires_at = now() WHERE user_id = :pam;
SELECT chat.expire_sessions(1000) > 0 AS some, chat.expire_sessions(1000) AS none;
SELECT count(*) FROM chat.sessions WHERE user_id = :pam;
-- Counters whose window is over go as new ones come.
INSERT INTO chat.login_failures SELECT 'user:old' || n, 1, now() - interval '1 second' FROM generate_series(1, 15) n;
SELECT error ->> 'reason' AS reason FROM chat.log_in('sam', 'wrong'), generate_series(1, 2);
SELECT error ->> 'reason' AS reason FROM chat.log_in('sam', 'wrong');
SELECT subject FROM chat.login_failures;
DELETE FROM chat.login_failures;

-- Sessions beyond sessions_max end the oldest ones: of the same device first, then what has no socket and was used longest ago.
SELECT user_name FROM chat.register_user('cronos', 'every minute', 'Cronos');
SELECT test.user('cronos') AS cronos \gset
SELECT value FROM chat.set_setting('sessions_max', '5');
SELECT error FROM chat.log_in('cronos', 'every minute', 'phone', '192.0.2.1');
SELECT session_id AS tablet FROM chat.log_in('cronos', 'every minute', 'tablet', '192.0.2.2') \gset
SELECT count(error) AS failed FROM generate_series(1, 20) n, LATERAL chat.log_in('cronos', left('every minute', 20 + n), 'cron', '192.0.2.3');
SELECT device_name FROM chat.list_sessions(:cronos);
UPDATE chat.sessions SET last_seen_at = now() - interval '1 hour' WHERE user_id = :cronos AND device_name IN ('phone', 'tablet');
SELECT chat.renew_presence(NULL, ARRAY[:tablet]) > 0 AS live;
SELECT error FROM chat.log_in('cronos', 'every minute', 'watch', '192.0.2.1');
SELECT device_name FROM chat.list_sessions(:cronos);
-- Nobody else's: and an app may open as many as it likes.
SELECT count(*) FROM chat.list_sessions(test.user('sam'));
SET ROLE chat_app;
SELECT count(*) FROM generate_series(1, 3) n, LATERAL chat.create_session(:cronos, 'kiosk ' || n);
RESET ROLE;
SELECT device_name FROM chat.list_sessions(:cronos) ORDER BY id;
-- Access tokens too; the session that made room does not come back by its token.
SELECT value FROM chat.set_setting('sessions_max', '2');
SELECT user_name FROM chat.suspend_user(test.user('otto.x'), now());
SELECT count(DISTINCT session_id) FROM generate_series(1, 4) n, LATERAL test.access(jsonb_build_object('sid', 'many-' || n, 'client_id', 'web'));
SELECT count(*) FROM chat.list_sessions(test.user('otto.x'));
SELECT test.error('SELECT test.access(''{"sid": "many-1"}'')'), test.error('SELECT test.access(''{"sid": "many-4"}'')');
SELECT value FROM chat.set_setting('sessions_max', '200');
