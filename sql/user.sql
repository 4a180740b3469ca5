-- Users: registering, profiles, search.
\set SHOW_CONTEXT never
SELECT user_name, display_name, email, phone, attributes, created_at IS NOT NULL AS created, version = id AS versioned
  FROM chat.register_user('anna.user', 'correct horse', 'Anna U.', 'anna@example.org', '+49 30 1234');
SELECT user_name, display_name FROM chat.register_user('b_2', 'correct horse');
-- The password is kept as a bcrypt hash of the set cost only.
SELECT password_hash ~ '^\$2a\$04\$.{53}$' AS bcrypt FROM chat.users WHERE user_name = 'anna.user';

SELECT test.error('SELECT chat.register_user(''anna.user'', ''correct horse'')');
SELECT name, test.error(format('SELECT chat.register_user(%L, ''correct horse'')', name))
  FROM unnest(ARRAY['ab', 'Anna', 'a b', 'ännchen', repeat('a', 33), '', 'a''; DROP TABLE chat.users; --', NULL]) name;
SELECT length(password), test.error(format('SELECT chat.register_user(''carl'', %L)', password))
  FROM unnest(ARRAY['', '1234567', repeat('x', 129), NULL]) password;
SELECT test.error('SELECT chat.register_user(''carl'', ''correct horse'', '''')');
SELECT test.error('SELECT chat.register_user(''carl'', ''correct horse'', repeat(''x'', 65))');
SELECT test.error('SELECT chat.register_user(''carl'', ''correct horse'', NULL, repeat(''x'', 255))');
SELECT test.error('SELECT chat.register_user(''carl'', ''correct horse'', NULL, NULL, repeat(''1'', 33))');
SELECT value FROM chat.set_setting('sign_up', 'false');
SELECT test.error('SELECT chat.register_user(''carl'', ''correct horse'')');
SELECT value FROM chat.set_setting('sign_up', 'true');
SELECT count(*) FROM chat.users WHERE user_name = 'carl';

-- The app makes users that it knows itself.
SELECT user_name, display_name, attributes FROM chat.create_user('dora', 'Döra 50% Z_z', attributes => '{"team": 7}');
SELECT user_name FROM chat.create_user('emil', NULL, 'https://issuer.example', 'subject-1');
SELECT test.error('SELECT chat.create_user(''emil2'', NULL, ''https://issuer.example'', ''subject-1'')');
SELECT test.error('SELECT chat.create_user(''emil2'', NULL, ''https://issuer.example'')');
SELECT test.error('SELECT chat.create_user(''emil'')');
SELECT test.error('SELECT chat.create_user(''emil2'', attributes => ''[1]'')');
SELECT test.error('SELECT chat.create_user(''emil2'', attributes => jsonb_build_object(''x'', repeat(''y'', 20000)))');

-- One's own profile has the private parts, others' has not.
SELECT user_name, email, phone FROM chat.get_profile(test.user('anna.user'));
SELECT id = test.user('anna.user') AS same, user_name, display_name FROM chat.get_user(test.user('b_2'), test.user('anna.user'));
SELECT attname FROM pg_attribute WHERE attrelid = 'chat.v_users'::regclass AND attnum > 0 ORDER BY attnum;
SELECT test.error('SELECT chat.get_user(1, 1)');
SELECT test.error('SELECT chat.get_user(NULL, 1)');
SELECT test.error('SELECT chat.get_profile(NULL)');
SELECT test.error('SELECT chat.get_profile(1)');

-- Search: beginnings first, then by user name; wildcards are just characters.
SELECT count(*) FROM (SELECT chat.create_user(name, title) FROM (VALUES
	('zoe_quill', 'Quill'), ('quill.b', 'B'), ('quill.a', 'A'), ('goldquill', NULL), ('hawquill', 'Haw'), ('green', 'Greenquill')) u (name, title)) made;
SELECT user_name, display_name, has_more FROM chat.search_users(1, 'quill');
SELECT user_name FROM chat.search_users(1, '  QUILL ');
SELECT user_name, has_more FROM chat.search_users(1, 'quill', 2);
SELECT user_name, has_more FROM chat.search_users(1, 'quill', 2, '0:quill.b');
SELECT user_name, has_more FROM chat.search_users(1, 'quill', 2, '1:goldquill');
SELECT user_name FROM chat.search_users(1, 'qu');
SELECT user_name FROM chat.search_users(1, '50%');
SELECT user_name FROM chat.search_users(1, 'Z_z');
SELECT user_name FROM chat.search_users(1, '%%%');
SELECT user_name FROM chat.search_users(1, '\\\');
SELECT pattern, test.error(format('SELECT chat.search_users(1, %L)', pattern)) FROM unnest(ARRAY['', 'f', ' f ', NULL, repeat('f', 65)]) pattern;
SELECT test.error('SELECT chat.search_users(1, ''quill'', 0)');
SELECT test.error('SELECT chat.search_users(1, ''quill'', 2, ''x'')');
SELECT test.error('SELECT chat.search_users(NULL, ''quill'')');

-- Editing one's own profile: what is not given stays, what is empty goes.
SELECT test.user('anna.user') AS anna, version AS version FROM chat.get_profile(test.user('anna.user')) \gset
SELECT display_name, email, phone, attributes, version > :version AS newer FROM chat.edit_profile(:anna, :version, 'Anna Ü.', attributes => '{"pronoun": "she"}');
SELECT display_name, email, phone, attributes FROM chat.edit_profile(:anna, phone => '', email => 'anna@example.com');
SELECT display_name, email, phone, attributes, avatar_file_id FROM chat.edit_profile(:anna, display_name => '', email => '', attributes => '{}', avatar_file_id => 0);
-- A stale version is refused, unless the profile is as it should be already; then nothing changes at all.
SELECT test.error(format('SELECT chat.edit_profile(%s, %s, ''Other'')', :anna, :version));
SELECT version AS version FROM chat.get_profile(:anna) \gset
SELECT display_name, version = :version AS unchanged FROM chat.edit_profile(:anna, 1, 'anna.user', phone => '');
SELECT version = :version AS unchanged FROM chat.edit_profile(:anna);
SELECT edit, test.error(format('SELECT chat.edit_profile(%s, %s)', :anna, edit)) FROM unnest(ARRAY['display_name => repeat(''x'', 65)', 'email => ''x''',
	'phone => ''1''', 'attributes => ''[]''', 'avatar_file_id => 1']) edit;
SELECT test.error('SELECT chat.edit_profile(NULL)'), test.error('SELECT chat.edit_profile(1, NULL, ''x'')');

-- Several at once; nobody's id is left out.
SELECT user_name, display_name, status, deleted FROM chat.get_users(:anna, ARRAY[test.user('b_2'), 1, :anna, NULL, :anna]);
SELECT (SELECT count(*) FROM chat.get_users(:anna, '{}')) AS none, (SELECT count(*) FROM chat.get_users(:anna, NULL)) AS nothing;
SELECT test.error('SELECT chat.get_users(1, array_fill(1::bigint, ARRAY[1001]))'), test.error('SELECT chat.get_users(NULL, ''{}'')');

-- A suspended user is not found, and logs in no more; a past time lifts it.
SELECT user_name FROM chat.suspend_user(test.user('green'), now() + interval '1 hour');
SELECT user_name FROM chat.search_users(1, 'green');
SELECT test.error(format('SELECT chat.create_session(%s)', test.user('green')));
SELECT user_name FROM chat.suspend_user(test.user('green'), 'epoch');
SELECT user_name FROM chat.search_users(1, 'green');
SELECT count(*) FROM chat.create_session(test.user('green'));
SELECT user_name FROM chat.suspend_user(test.user('green'));
SELECT suspended_until FROM chat.users WHERE user_name = 'green';
SELECT count(*) FROM chat.sessions WHERE user_id = test.user('green');
SELECT test.error('SELECT chat.suspend_user(1)');
-- Nobody takes the name that erasure leaves.
SELECT test.error('SELECT chat.create_user(''deleted.1'')');
