-- sync and list_events: what somebody has missed. Races and pages under load: extension/test/specs/sync.spec, extension/test/t/065_sync.pl.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['syn-ada', 'syn-bea', 'syn-cid', 'syn-dan']) name) made;
SELECT test.user('syn-ada') AS ada, test.user('syn-bea') AS bea, test.user('syn-cid') AS cid, test.user('syn-dan') AS dan \gset
-- What a user is told, page by page, with names instead of ids; equal: each event is as it was published.
CREATE TABLE test.names (id bigint PRIMARY KEY, name text);
CREATE FUNCTION test.pull(user_id bigint, since bigint, page_size integer DEFAULT NULL)
RETURNS TABLE (page integer, told text, chat text, number text, equal boolean) LANGUAGE plpgsql AS $$
DECLARE
	one record;
BEGIN
	page := 0;
	LOOP
		page := page + 1;
		SELECT s.* INTO one FROM chat.sync(pull.user_id, since, pull.page_size) s;
		RETURN QUERY SELECT page, e ->> 'type', (SELECT n.name FROM test.names n WHERE n.id = (e ->> 'chat_id')::bigint), e -> 'message' ->> 'number',
			e::text = test.event((e ->> 'chat_id')::bigint, (e ->> 'id')::bigint)::text FROM json_array_elements(one.events) e;
		RETURN QUERY SELECT page, e ->> 'type', (SELECT n.name FROM test.names n WHERE n.id = (e ->> 'chat_id')::bigint), NULL, NULL::boolean FROM json_array_elements(one.state) e;
		IF one.reset OR one.cursor < since OR one.cursor > greatest(since, chat.horizon()) THEN
			RETURN QUERY SELECT page, 'reset, or a wrong cursor', '', '', false;
		END IF;
		since := one.cursor;
		EXIT WHEN NOT one.has_more;
	END LOOP;
END
$$;

-- A new client, and others who begin anew
SELECT events, state, has_more, reset, s.cursor > 0 AS cursor FROM unnest(ARRAY[NULL, 0, 1, chat.id_at(now() - interval '31 days')]) since, chat.sync(:ada, since) s;
SELECT reset FROM chat.sync(:ada, chat.id_at(now() - interval '29 days'));
SELECT test.error(format('SELECT chat.sync(%s, %s)', :ada, since)) FROM unnest(ARRAY[-1, chat.id_at(now() + interval '2 minutes'), 9223372036854775807]) since;
SELECT test.error(format('SELECT chat.sync(%s, 1, 0)', :ada)), test.error('SELECT chat.sync(NULL, 1)');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT chat.sync(:ada, 1);
ROLLBACK;

-- Every durable event, to each as he may hear it
SELECT chat.next_id() AS start \gset
SELECT id AS direct FROM chat.open_direct_chat(:ada, :bea) \gset
SELECT id AS club FROM chat.create_group(:ada, 'Club', ARRAY[:bea, :cid]::bigint[]) \gset
INSERT INTO test.names VALUES (:direct, 'direct'), (:club, 'club');
SELECT id AS hello FROM chat.send_message(:ada, :direct, 'hello', client_key => 'k', attributes => '{"a": 1}') \gset
SELECT id AS post FROM chat.send_message(:bea, :club, 'a post', reply_to_id => NULL, mention_ids => ARRAY[:cid]) \gset
SELECT id AS answer FROM chat.send_message(:cid, :club, 'an answer', reply_to_id => :post) \gset
SELECT body FROM chat.edit_message(:bea, :club, :post, 'a better post');
SELECT count(*) FROM chat.add_reaction(:cid, :club, :post, 'x');
SELECT count(*) FROM chat.remove_reaction(:cid, :club, :post, 'x');
SELECT count(*) FROM chat.pin_message(:ada, :club, :post);
SELECT count(*) FROM chat.unpin_message(:ada, :club, :post);
SELECT call_id AS call FROM chat.start_call(:ada, :club) \gset
SELECT count(*) FROM chat.end_call(:ada, :club, :call);
SELECT title FROM chat.edit_chat(:ada, :club, 'New club');
SELECT role FROM chat.set_member_role(:ada, :club, :bea, 'admin');
SELECT count(*) FROM chat.remove_member(:ada, :club, :cid);
SELECT count(*) FROM chat.delete_message(:bea, :club, :post);
SELECT member_count FROM chat.add_members(:ada, :club, ARRAY[:dan]);
SELECT number FROM chat.send_message(:dan, :club, 'thanks');
SELECT * FROM test.pull(:ada, :start);
-- bea gets the same of the club, but for ada's joining before her; cid up to his removal; dan from his joining on
SELECT array_agg(told) = (SELECT (array_agg(told))[2:] FROM test.pull(:ada, :start) WHERE chat = 'club') AS same FROM test.pull(:bea, :start) WHERE chat = 'club';
SELECT told, number, equal FROM test.pull(:cid, :start);
SELECT told, number, equal FROM test.pull(:dan, :start);
-- Messages come at their present state, the edit without the body that was deleted.
SELECT e ->> 'type' AS type, e -> 'message' ->> 'deleted_at' IS NOT NULL AS deleted, e -> 'message' ->> 'body' AS body, e ->> 'body' AS new_body
  FROM chat.sync(:ada, :start) s, json_array_elements(s.events) e
 WHERE e ->> 'id' = :'post' OR e ->> 'message_id' = :'post' ORDER BY (e ->> 'id')::bigint LIMIT 2;
-- One order over all chats, each event naming the one before it in its chat
SELECT bool_and(id > before) AS ascending, bool_and(prev_id = coalesce(chat_before, prev_id)) AS chained, count(DISTINCT chat_id) AS chats FROM (
	SELECT (e ->> 'id')::bigint AS id, lag((e ->> 'id')::bigint) OVER (ORDER BY position) AS before, e ->> 'chat_id' AS chat_id, (e ->> 'prev_id')::bigint AS prev_id,
		lag((e ->> 'id')::bigint) OVER (PARTITION BY e ->> 'chat_id' ORDER BY position) AS chat_before
	  FROM chat.sync(:ada, :start) s, json_array_elements(s.events) WITH ORDINALITY AS a (e, position)) o;

-- State: the record's event, once, at its present value
SELECT count(*) FROM chat.mark_delivered(:bea, :direct, :hello);
SELECT unread FROM chat.mark_read(:bea, :direct, :hello);
SELECT id AS more FROM chat.send_message(:ada, :direct, 'more') \gset
SELECT chat.next_id() AS between \gset
SELECT unread FROM chat.mark_read(:bea, :direct, :more);
SELECT count(*) FROM chat.mark_unread(:bea, :direct);
SELECT archived FROM chat.set_chat_prefs(:bea, :direct, archived => true);
SELECT body FROM chat.save_draft(:bea, :direct, 'dear');
SELECT body FROM chat.save_draft(:bea, :direct, 'dear ada');
SELECT count(*) FROM chat.delete_message(:bea, :direct, :hello, for_everyone => false);
SELECT state FROM chat.invite_user(:ada, :bea);
SELECT state FROM chat.accept_connection(:bea, :ada);
SELECT display_name FROM chat.edit_profile(:bea, display_name => 'Bea');
SELECT id AS file FROM chat.add_file_link(:ada, 'a.txt', 'text/plain', 10, 'https://example.org/a.txt') \gset
SELECT count(*) FROM chat.share_file(:ada, :file, :bea);
CREATE FUNCTION test.state(user_id bigint, since bigint) RETURNS TABLE (record json) LANGUAGE sql AS $$
	SELECT r FROM chat.sync(state.user_id, state.since) s, json_array_elements(s.state) WITH ORDINALITY AS a (r, position) ORDER BY position
$$;
SELECT record ->> 'type' AS type, record ->> 'user_id' IS NULL OR record ->> 'user_id' = :'bea' AS bea, record ->> 'unread' AS unread, record ->> 'body' AS body, record ->> 'state' AS state,
	record ->> 'archived' AS archived, record ->> 'name' AS name FROM test.state(:bea, :between);
SELECT record ->> 'type' AS type, record ->> 'user_id' = :'bea' AS bea, record ->> 'message_id' = :'more' AS more, record ->> 'unread' AS unread, record ->> 'state' AS state, record ->> 'name' AS name FROM test.state(:ada, :between);
SELECT record ->> 'type' AS type, string_agg(k, ' ') AS members FROM test.state(:bea, :between), json_object_keys(record) WITH ORDINALITY AS a (k, position) GROUP BY 1, record::text ORDER BY 1;
-- Each where its version is greater than since, and nowhere else
SELECT count(*) FROM test.state(:bea, :start) s, LATERAL (SELECT (s.record ->> 'version')::bigint AS version) v
 WHERE EXISTS (SELECT FROM test.state(:bea, v.version) o WHERE o.record ->> 'version' = v.version::text) OR NOT EXISTS (SELECT FROM test.state(:bea, v.version - 1) o WHERE o.record ->> 'version' = v.version::text);
-- In large chats one hears of one's own cursors only.
SELECT name, value FROM chat.set_setting('receipts_max_members', '2');
SELECT unread FROM chat.mark_read(:bea, :club, 9223372036854775807);
SELECT count(*) FILTER (WHERE record ->> 'chat_id' = :'club' AND record ->> 'type' = 'read') AS club, count(*) FILTER (WHERE record ->> 'chat_id' = :'direct' AND record ->> 'type' = 'read') AS direct
  FROM unnest(ARRAY[:ada, :bea]) WITH ORDINALITY AS u (id, position), test.state(u.id, :between) GROUP BY u.position ORDER BY u.position;
SELECT name, value FROM chat.set_setting('receipts_max_members', '100');

-- Pages: everything once, whatever their size. The horizon is put here: without the library preloaded it stays behind the clock.
CREATE FUNCTION test.pages(user_id bigint, since bigint, size integer) RETURNS TABLE (page integer, told text, chat text, number text) LANGUAGE plpgsql AS $$
DECLARE
	one record;
BEGIN
	page := 0;
	LOOP
		page := page + 1;
		SELECT m.* INTO one FROM chat.read_missed(pages.user_id, since, chat.last_id(), size) m;
		RETURN QUERY SELECT page, e ->> 'type', (SELECT n.name FROM test.names n WHERE n.id = (e ->> 'chat_id')::bigint), e -> 'message' ->> 'number'
		  FROM json_array_elements(one.events) e;
		EXIT WHEN one.bound IS NULL;
		since := one.bound;
	END LOOP;
END
$$;
SELECT size, max(page) AS pages, array_agg(told || coalesce(number, '') ORDER BY position) = (SELECT array_agg(told || coalesce(number, '')) FROM test.pull(:ada, :start) WHERE equal) AS same
  FROM unnest(ARRAY[1, 2, 5, 18, 19, 20, 1000]) size, test.pages(:ada, :start, size) WITH ORDINALITY AS p (page, told, chat, number, position) GROUP BY size ORDER BY size;

-- A chat with more than the limit is told as chat_reset; on later pages come at most the limit's last ones.
SELECT name, value FROM chat.set_setting('sync_chat_limit', '4');
SELECT told, chat, number FROM test.pull(:ada, :start) WHERE told !~ '_changed$';
SELECT * FROM test.pages(:ada, :start, 1);
SELECT chat, told FROM test.pull(:cid, :start);
SELECT name, value FROM chat.set_setting('sync_chat_limit', '200');

-- A large chat, whose events have a channel of their own, is no different here.
SELECT count(*) FROM (SELECT chat.create_user('syn-crowd-' || n) FROM generate_series(1, 20) n) made;
SELECT chat.next_id() AS growing \gset
SELECT id AS crowd FROM chat.create_group(:dan, 'Crowd', ARRAY(SELECT id FROM chat.users WHERE user_name LIKE 'syn-crowd-%')) \gset
INSERT INTO test.names VALUES (:crowd, 'crowd');
SELECT number FROM chat.send_message(:dan, :crowd, 'to all');
SELECT count(*) FROM chat.remove_member(:dan, :crowd, test.user('syn-crowd-2'));
SELECT number FROM chat.send_message(:dan, :crowd, 'to the rest');
SELECT told, chat, number FROM test.pull(test.user('syn-crowd-1'), :growing) WHERE chat IS NOT NULL;
SELECT told, chat, number FROM test.pull(test.user('syn-crowd-2'), :growing) WHERE chat IS NOT NULL;

-- list_events: one chat, the same
SELECT type, event -> 'message' ->> 'number' AS number, has_more FROM chat.list_events(:cid, :club);
SELECT count(*), bool_and(l.event::text = s.event::text) AS same FROM (
	SELECT e AS event, (e ->> 'id')::bigint AS id FROM chat.sync(:ada, :start) s, json_array_elements(s.events) e WHERE e ->> 'chat_id' = :'club') s
  JOIN chat.list_events(:ada, :club, :start, 100) l USING (id);
SELECT type, has_more FROM chat.list_events(:ada, :club, :post, 2);
SELECT bool_and(id > :answer) AS later, count(*) FROM chat.list_events(:ada, :club, :answer);
SELECT count(*) FROM chat.list_events(:ada, :club, 9223372036854775807);
SELECT count(*) FROM chat.list_events(:dan, :club);
SELECT test.error(format('SELECT chat.list_events(%s, %s)', :dan, :direct)), test.error(format('SELECT chat.list_events(%s, 1)', :dan)), test.error(format('SELECT chat.list_events(NULL, %s)', :club)),
	test.error(format('SELECT chat.list_events(%s, %s, page_size => 0)', :ada, :club));
-- Where events are gone, the rest is told.
BEGIN;
DELETE FROM chat.events WHERE chat_id = :club AND id < :call;
SELECT type FROM chat.list_events(:ada, :club, :start) LIMIT 4;
ROLLBACK;

-- Back in: from the last joining on. Who joins where history is for members only: the same.
SELECT member_count FROM chat.add_members(:ada, :club, ARRAY[:cid]);
SELECT told FROM test.pull(:cid, :start) WHERE chat = 'club';
SELECT name, value FROM chat.set_setting('history_for_new_members', 'none');
SELECT count(*) FROM chat.leave_chat(:dan, :club);
SELECT member_count FROM chat.add_members(:ada, :club, ARRAY[:dan]);
SELECT told FROM test.pull(:dan, :start) WHERE chat = 'club';
SELECT name, value FROM chat.set_setting('history_for_new_members', 'all');

-- Who is left alone in a chat still hears how far the others had read.
SELECT chat.next_id() AS before_pair \gset
SELECT id AS pair FROM chat.create_group(:ada, 'Pair', ARRAY[:bea]) \gset
SELECT id AS read_one FROM chat.send_message(:ada, :pair, 'read, and gone') \gset
SELECT unread FROM chat.mark_read(:bea, :pair, :read_one);
SELECT count(*) FROM chat.leave_chat(:bea, :pair);
SELECT record ->> 'type' AS type, record ->> 'user_id' = :'bea' AS bea FROM test.state(:ada, :before_pair) WHERE record ->> 'chat_id' = :'pair';

-- The end of a chat is all that is told of it, also when maintenance has taken the rest away; to who has left, that he has.
SELECT chat.next_id() AS late \gset
SELECT number FROM chat.send_message(:ada, :club, 'last words');
SELECT count(*) FROM chat.leave_chat(:cid, :club);
SELECT count(*) FROM chat.delete_chat(:ada, :club);
SELECT told, equal FROM test.pull(:bea, :late) WHERE chat = 'club';
SELECT told, equal FROM test.pull(:cid, :late) WHERE chat = 'club';
SELECT count(*) FROM chat.drop_deleted_chats(1000);
SELECT told, equal FROM test.pull(:bea, :start) WHERE chat = 'club';
SELECT test.error(format('SELECT chat.list_events(%s, %s)', :bea, :club));

-- The age of a cursor is that of the event log.
SELECT name, value FROM chat.set_setting('event_retention', '1 hour');
SELECT reset, s.cursor > since AS later FROM unnest(ARRAY[chat.id_at(now() - interval '59 minutes'), chat.id_at(now() - interval '61 minutes')]) since, chat.sync(:ada, since) s;
SELECT name, value FROM chat.set_setting('event_retention', '30 days');

-- Who may call them
SELECT p.proname, r.rolname FROM pg_proc p CROSS JOIN aclexplode(p.proacl) a JOIN pg_roles r ON r.oid = a.grantee
 WHERE p.pronamespace = 'chat'::regnamespace AND p.proname IN ('sync', 'list_events') AND a.grantee <> p.proowner ORDER BY 1, 2;
DROP FUNCTION test.pull, test.pages, test.state;
DROP TABLE test.names;
