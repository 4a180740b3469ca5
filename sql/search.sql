-- Full-text search: what matches, and only what one may see; before the index has it and after.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['search-theo', 'search-tina', 'search-tom', 'search-tess']) name) made;
SELECT test.user('search-theo') AS theo, test.user('search-tina') AS tina, test.user('search-tom') AS tom, test.user('search-tess') AS tess \gset
SELECT test.work('index_messages') >= 0 AS others_indexed;
SELECT id AS chat FROM chat.open_direct_chat(:theo, :tina) \gset
UPDATE chat.chats SET kind = 'group', member_count = 3 WHERE id = :chat;
UPDATE chat.members m SET role = 'owner' FROM chat.chats c WHERE c.id = m.chat_id AND m.user_id = c.creator_id AND c.id = :chat;
DELETE FROM chat.direct_chats WHERE chat_id = :chat;
INSERT INTO chat.members (chat_id, user_id) VALUES (:chat, :tom);
SELECT id AS other FROM chat.open_direct_chat(:theo, :tess) \gset
SELECT count(*) FROM unnest(ARRAY['The quick brown fox', 'jumps over the lazy dog', 'quick and lazy', 'a fox, quick as ever', 'Füchse sind schnell']) AS body, LATERAL chat.send_message(:theo, :chat, body);
SELECT number FROM chat.send_message(:tina, :chat, 'my quick answer');
SELECT number FROM chat.send_message(:tess, :other, 'a quick question in private');
CREATE FUNCTION test.found(actor_id bigint, query text, chat_id bigint DEFAULT NULL, from_user_id bigint DEFAULT NULL, before_id bigint DEFAULT NULL, page_size integer DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' … ', string_agg(s.body, ' | '), CASE WHEN bool_or(s.has_more) THEN 'more' END)
	  FROM chat.search_messages(found.actor_id, found.query, found.chat_id, found.from_user_id, found.before_id, found.page_size) s
$$;
-- The same answers from the messages, from the index, and from both.
CREATE FUNCTION test.searches(theo bigint, tina bigint, tom bigint, tess bigint, chat bigint, other bigint) RETURNS TABLE (what text, found text) LANGUAGE sql AS $$
	VALUES ('newest first', test.found(theo, 'quick')), ('one chat', test.found(theo, 'quick', chat)), ('two words', test.found(theo, 'QUICK fox')),
		('phrase', test.found(theo, '"quick brown"')), ('or', test.found(theo, 'dog or brown')), ('without', test.found(theo, 'quick -fox')),
		('only without', test.found(tina, '-quick')), ('one sender', test.found(theo, 'quick', chat, tina)), ('sender in all', test.found(theo, 'quick', NULL, tess)),
		('umlaut', test.found(tom, 'FÜCHSE')), ('others'' chats', test.found(tom, 'private')), ('no such word', test.found(theo, 'quic')),
		('syntax is never an error', test.found(theo, 'fox & | ! ( '' " <->')), ('no code of the index', test.found(theo, chat::text)), ('page', test.found(theo, 'quick', page_size => 2))
$$;
SELECT * FROM test.searches(:theo, :tina, :tom, :tess, :chat, :other);
SELECT chat.index_messages(4);
SELECT count(*) FROM chat.message_words WHERE chat_id IN (:chat, :other);
CREATE TEMP TABLE partly AS SELECT * FROM test.searches(:theo, :tina, :tom, :tess, :chat, :other);
SELECT test.work('index_messages') > 0 AS indexed, test.work('index_messages') AS again;
SELECT count(*) AS messages, count(w) AS indexed FROM chat.messages m LEFT JOIN chat.message_words w ON w.chat_id = m.chat_id AND w.message_id = m.id WHERE m.chat_id IN (:chat, :other);
SELECT * FROM test.searches(:theo, :tina, :tom, :tess, :chat, :other);
SELECT count(*) AS differ FROM partly p FULL JOIN test.searches(:theo, :tina, :tom, :tess, :chat, :other) s ON p.what = s.what WHERE p.found IS DISTINCT FROM s.found;
-- Page by page
SELECT test.found(:theo, 'quick', before_id => (SELECT min(id) FROM chat.search_messages(:theo, 'quick', page_size => 2)), page_size => 2);
SELECT test.error(format('SELECT chat.search_messages(%s, '' '')', :theo)), test.error(format('SELECT chat.search_messages(%s, NULL)', :theo)), test.error(format('SELECT chat.search_messages(%s, ''x'', page_size => 0)', :theo));
SELECT test.error(format('SELECT chat.search_messages(%s, ''x'', %s)', :tess, :chat)), test.error('SELECT chat.search_messages(NULL, ''x'')');

-- Edited, deleted, hidden: found as they are now.
SELECT id AS fox FROM chat.messages WHERE chat_id = :chat AND number = 1 \gset
SELECT id AS dog FROM chat.messages WHERE chat_id = :chat AND number = 2 \gset
SELECT body FROM chat.edit_message(:theo, :chat, :fox, 'The slow red fox');
SELECT test.found(:tina, 'brown') AS brown, test.found(:tina, 'red') AS red;
SELECT deleted_at IS NOT NULL AS deleted FROM chat.delete_message(:theo, :chat, :dog);
SELECT test.found(:tina, 'dog') AS dog;
SELECT body FROM chat.delete_message(:tina, :chat, :fox, false);
SELECT test.found(:tina, 'slow') AS tina, test.found(:tom, 'slow') AS tom;
-- Not after one's removal, not before one's time
UPDATE chat.members SET left_id = (SELECT last_event_id FROM chat.chats WHERE id = :chat) WHERE chat_id = :chat AND user_id = :tom;
SELECT number FROM chat.send_message(:theo, :chat, 'slow and late');
SELECT test.found(:tom, 'slow') AS tom, test.found(:tina, 'slow') AS tina;
INSERT INTO chat.members (chat_id, user_id, visible_from) SELECT :chat, :tess, max(id) FROM chat.messages WHERE chat_id = :chat;
SELECT number FROM chat.send_message(:theo, :chat, 'slow again');
SELECT test.found(:tess, 'slow') AS tess;
SELECT test.work('index_messages') > 0 AS indexed;
SELECT test.found(:tom, 'slow') AS tom, test.found(:tina, 'slow') AS tina, test.found(:tess, 'slow') AS tess;
-- Another language: indexed again with the next maintenance.
SELECT test.found(:tina, 'answers') AS simple;
SELECT test.error('SELECT chat.set_setting(''search_language'', ''klingon'')');
SELECT name, value FROM chat.set_setting('search_language', 'english');
SELECT test.work('index_messages') > 0 AS indexed;
SELECT test.found(:tina, 'answers') AS english;
SELECT name, value FROM chat.set_setting('search_language', 'simple');
SELECT test.work('index_messages') > 0 AS indexed;
SELECT test.found(:tina, 'answers') AS simple, test.found(:tina, 'answer') AS answer;
-- A deleted chat is not searched.
UPDATE chat.chats SET deleted_id = last_event_id WHERE id = :other;
SELECT test.found(:tess, 'private');
SELECT test.recount(:chat);

-- Of many matches only as many are looked at as the page takes, of few all are collected: the answer is the same, whatever has
-- been indexed and whichever chat was last written to.
SELECT id AS room FROM chat.create_room(:theo, 'Much') \gset
SELECT id AS hall FROM chat.create_room(:tess, 'Little') \gset
SELECT count(*) FROM chat.join_room(:theo, :hall);
SELECT max(number) AS sent FROM generate_series(1, 3000) n, LATERAL chat.send_message(:theo, :room, concat_ws(' ', 'each', n,
	CASE WHEN n % 2 = 0 THEN 'half' END, CASE WHEN n % 300 = 0 THEN 'some' END, CASE WHEN n % 1400 = 0 THEN 'few' END, CASE WHEN n < 40 THEN 'past' END)) s;
SELECT max(number) AS sent FROM generate_series(1, 50) n, LATERAL chat.send_message(:tess, :hall, concat_ws(' ', 'each', n, CASE WHEN n % 10 = 0 THEN 'some few' END)) s;
SELECT test.work('index_messages') > 0 AS indexed;
SELECT max(number) AS sent FROM generate_series(1, 5) n, LATERAL chat.send_message(:theo, :room, 'each some ' || n) s;
SELECT count(*) FROM (SELECT max(id) AS id FROM chat.messages WHERE chat_id = :room AND body ~ 'half') m, LATERAL chat.delete_message(:theo, :room, m.id, false) d;
CREATE FUNCTION test.differs(actor_id bigint, query text, chat_id bigint, size integer) RETURNS TABLE (looked bigint, differs boolean) LANGUAGE plpgsql AS $$
DECLARE
	before bigint := 9223372036854775807;
	wanted tsquery := websearch_to_tsquery('simple', query);
	found bigint[];
	expected bigint[];
BEGIN
	looked := 0;
	LOOP
		expected := ARRAY(SELECT m.id FROM chat.members own JOIN chat.messages m ON m.chat_id = own.chat_id AND m.id > own.visible_from
			WHERE own.user_id = actor_id AND (differs.chat_id IS NULL OR m.chat_id = differs.chat_id) AND m.id < before AND m.kind = 'user'
			  AND m.deleted_id IS NULL AND chat.words_of(m) @@ wanted
			  AND NOT EXISTS (SELECT FROM chat.hidden_messages h WHERE h.user_id = actor_id AND h.message_id = m.id)
			ORDER BY m.id DESC LIMIT size);
		found := ARRAY(SELECT f.id FROM chat.find_messages(actor_id, wanted, differs.chat_id, before, size) f);
		differs := found <> expected;
		looked := looked + cardinality(found);
		before := found[size];
		EXIT WHEN differs OR before IS NULL OR looked > 400;
	END LOOP;
	RETURN NEXT;
END
$$;
SELECT q.query, d.looked AS in_all, d.differs, r.looked AS in_room, r.differs
  FROM unnest(ARRAY['each', 'half', 'some', 'few', 'past', 'each -half', 'half some', '"each 7"', 'none']) WITH ORDINALITY AS q (query, n),
	LATERAL test.differs(:theo, q.query, NULL, 33) d, LATERAL test.differs(:theo, q.query, :room, 33) r
 ORDER BY q.n;
SELECT d.differs FROM test.differs(:theo, 'half or few', NULL, 1) d;

-- No query fails for its form, and none is longer than it may be.
SELECT left(q, 20) AS query, length(q), test.error(format('SELECT count(*) FROM chat.search_messages(1, %L)', q))
  FROM unnest(ARRAY[repeat('-', 40), repeat('-', 40) || 'x', repeat('- ', 30) || 'x', repeat('-(', 50) || 'x', '"' || repeat('a ', 31), repeat('-"a"', 60), repeat('or ', 31),
	'"' || repeat('word ', 30000), repeat('a ', 33), repeat('x', 256), repeat('x', 257), '-', '()', '\', ':*', '''', '"', ' ']) q;
SELECT chat.parse_query('well -- then'), chat.parse_query('well -then'), chat.parse_query('a -(b) or "c d"'), chat.parse_query('semi-detached a & !b');
