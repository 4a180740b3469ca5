-- Cursors: read, delivered, mentions, unread by hand, and who has seen what.
\set SHOW_CONTEXT never
SELECT count(*) FROM (SELECT chat.create_user(name) FROM unnest(ARRAY['receipt-mara', 'receipt-mila', 'receipt-moritz', 'receipt-mona']) name) made;
SELECT test.user('receipt-mara') AS mara, test.user('receipt-mila') AS mila, test.user('receipt-moritz') AS moritz, test.user('receipt-mona') AS mona \gset
SELECT id AS chat FROM chat.open_direct_chat(:mara, :mila) \gset
UPDATE chat.chats SET kind = 'group', member_count = 3 WHERE id = :chat;
UPDATE chat.members m SET role = 'owner' FROM chat.chats c WHERE c.id = m.chat_id AND m.user_id = c.creator_id AND c.id = :chat;
DELETE FROM chat.direct_chats WHERE chat_id = :chat;
INSERT INTO chat.members (chat_id, user_id, added_by) VALUES (:chat, :moritz, :moritz);
CREATE FUNCTION test.cursors(chat_id bigint) RETURNS TABLE (user_name text, unread integer, mentions integer, mentions_counted bigint) LANGUAGE sql AS $$
	SELECT u.user_name, v.unread, m.mentions, (SELECT count(*) FROM chat.mentions n WHERE n.user_id = m.user_id AND n.chat_id = m.chat_id AND n.message_id > m.read_id)
	  FROM chat.v_members v JOIN chat.members m USING (chat_id, user_id) JOIN chat.users u ON u.id = m.user_id WHERE v.chat_id = cursors.chat_id ORDER BY 1
$$;

-- Mentions: members only, each once, not oneself; counted until read.
SELECT id AS m1 FROM chat.send_message(:mara, :chat, 'one', mention_ids => ARRAY[:moritz, :mila, :mila]) \gset
SELECT id AS m2 FROM chat.send_message(:mara, :chat, 'two', mention_ids => ARRAY[:mara, :mila]) \gset
SELECT id AS m3 FROM chat.send_message(:mara, :chat, 'three', mention_ids => ARRAY[:mila]) \gset
SELECT number FROM chat.send_message(:mara, :chat, 'four', mention_ids => '{}');
SELECT * FROM test.cursors(:chat);
SELECT cardinality(mentions) FROM chat.list_messages(:mila, :chat);
SELECT test.error(format('SELECT chat.send_message(%s, %s, ''x'', mention_ids => ARRAY[%s])', :mara, :chat, :mona));
SELECT unread, mentions FROM chat.mark_read(:mila, :chat, :m1);
SELECT test.error(format('SELECT chat.mark_read(%s, %s, %s)', :mila, :chat, :m1 - 1));
SELECT * FROM test.cursors(:chat);
-- A deleted message mentions nobody, and still counts as a message.
SELECT count(*) FROM chat.delete_message(:mara, :chat, :m2);
SELECT count(*) FROM chat.delete_message(:mara, :chat, :m1);
SELECT * FROM test.cursors(:chat);
-- Sending reads all.
SELECT number FROM chat.send_message(:mila, :chat, 'answer', mention_ids => ARRAY[:mara]);
SELECT * FROM test.cursors(:chat);
-- A system entry is never unread, and reading up to it reads all before it.
SELECT call_id AS call FROM chat.start_call(:mila, :chat, 'video') \gset
SELECT * FROM test.cursors(:chat);
SELECT unread, mentions, read_id = :call AS there FROM chat.mark_read(:moritz, :chat, :call);

-- Delivered: forward only, apart from read.
SELECT delivered_id = :m2 AS there, version > 0 AS versioned FROM chat.mark_delivered(:moritz, :chat, :m2);
SELECT delivered_id = :m2 AS there FROM chat.mark_delivered(:moritz, :chat, :m1);
SELECT delivered_id = :m3 AS there FROM chat.mark_delivered(:moritz, :chat, :m3);
SELECT test.error(format('SELECT chat.mark_delivered(%s, %s, 1)', :moritz, :chat)), test.error(format('SELECT chat.mark_delivered(%s, %s, 1)', :mona, :chat)), test.error(format('SELECT chat.mark_delivered(NULL, %s, 1)', :chat));

-- Unread by hand: private, moves nothing, gone when read.
SELECT marked_unread, version > 0 AS versioned FROM chat.mark_unread(:mila, :chat);
SELECT marked_unread FROM chat.mark_unread(:mila, :chat, true);
SELECT user_name, unread FROM test.cursors(:chat) WHERE user_name = 'receipt-mila';
SELECT u.user_name, m.marked_unread, m.prefs_version > 0 AS changed FROM chat.members m JOIN chat.users u ON u.id = m.user_id WHERE m.chat_id = :chat ORDER BY 1;
SELECT unread FROM chat.mark_read(:mila, :chat, :m3);
SELECT marked_unread FROM chat.members WHERE chat_id = :chat AND user_id = :mila;
SELECT marked_unread FROM chat.mark_unread(:mila, :chat, false);
SELECT test.error(format('SELECT chat.mark_unread(%s, %s)', :mona, :chat));

-- All at once: one chat, or every chat.
SELECT id AS other FROM chat.open_direct_chat(:mila, :mona) \gset
SELECT number FROM chat.send_message(:mona, :other, 'hello');
SELECT number FROM chat.send_message(:mara, :chat, 'five', mention_ids => ARRAY[:mila]);
SELECT chat.mark_all_read(:mila, :chat);
SELECT * FROM test.cursors(:chat);
SELECT number FROM chat.send_message(:mara, :chat, 'six');
SELECT marked_unread FROM chat.mark_unread(:mila, :chat);
SELECT chat.mark_all_read(:mila);
SELECT chat.mark_all_read(:mila);
SELECT unread FROM chat.v_members WHERE user_id = :mila;
-- A page of chats in a call
SELECT count(*) FROM unnest(ARRAY[:moritz, :mona]) u, LATERAL chat.send_direct_message(u, :mila, 'unread') s;
SELECT value FROM chat.set_setting('page_size_max', '1');
SELECT chat.mark_all_read(:mila) AS first, chat.mark_all_read(:mila) AS second, chat.mark_all_read(:mila) AS none;
SELECT value FROM chat.set_setting('page_size_max', '128');
SELECT test.error(format('SELECT chat.mark_all_read(%s, %s)', :mona, :chat)), test.error('SELECT chat.mark_all_read(NULL)');

-- Receipts: whom a message has reached, and who has read it.
SELECT id AS news FROM chat.send_message(:mara, :chat, 'news') \gset
SELECT count(*) FROM chat.list_receipts(:mara, :chat, :news);
SELECT delivered_id = :news AS there FROM chat.mark_delivered(:moritz, :chat, :news);
SELECT unread FROM chat.mark_read(:mila, :chat, :news);
SELECT u.user_name, r.delivered_id = :news AS delivered, r.read_id = :news AS at_it, r.has_read, r.has_more FROM chat.list_receipts(:mara, :chat, :news) r JOIN chat.users u ON u.id = r.user_id ORDER BY r.user_id;
SELECT u.user_name, r.has_more FROM chat.list_receipts(:mara, :chat, :news, page_size => 1) r JOIN chat.users u ON u.id = r.user_id;
SELECT u.user_name, r.has_more FROM chat.list_receipts(:moritz, :chat, :news, after_id => :mila) r JOIN chat.users u ON u.id = r.user_id;
SELECT test.error(format('SELECT chat.list_receipts(%s, %s, %s)', :mona, :chat, :news)), test.error(format('SELECT chat.list_receipts(%s, %s, 1)', :mara, :chat));
SELECT name, value FROM chat.set_setting('receipts_max_members', '2');
SELECT test.error(format('SELECT chat.list_receipts(%s, %s, %s)', :mara, :chat, :news));
SELECT name, value FROM chat.set_setting('receipts_max_members', '100');
-- Who has left moves no cursor.
UPDATE chat.members SET left_id = :news WHERE chat_id = :chat AND user_id = :moritz;
SELECT test.error(format('SELECT chat.mark_read(%s, %s, %s)', :moritz, :chat, :news)), test.error(format('SELECT chat.mark_unread(%s, %s)', :moritz, :chat));
SELECT count(*) FROM chat.list_receipts(:mara, :chat, :news);

-- A chat without messages, or whose messages message_retention has removed, can be read like any other.
SELECT id AS empty FROM chat.open_direct_chat(:mila, :moritz) \gset
SELECT marked_unread FROM chat.mark_unread(:mila, :empty);
SELECT chat.mark_all_read(:mila);
SELECT marked_unread, unread FROM chat.get_chat(:mila, :empty);
SELECT test.error(format('SELECT chat.mark_read(%s, %s, 1)', :mila, :empty));
BEGIN;
SELECT number FROM chat.send_message(:moritz, :empty, 'soon gone');
SELECT count(*) > 0 AS dropped FROM chat.drop_messages(:empty, 9223372036854775807, 10, now()) dropped WHERE dropped > 0;
SELECT unread FROM chat.get_chat(:mila, :empty);
SELECT chat.mark_all_read(:mila);
SELECT unread FROM chat.get_chat(:mila, :empty);
SELECT number FROM chat.send_message(:moritz, :empty, 'here');
SELECT unread FROM chat.get_chat(:mila, :empty);
ROLLBACK;
-- Who joins later has read nothing of before, though his cursor stands at the end.
SELECT id AS joined FROM chat.create_group(:mara, 'joined', ARRAY[:mila]) \gset
SELECT id AS early FROM chat.send_message(:mara, :joined, 'before him') \gset
SELECT member_count FROM chat.add_members(:mara, :joined, ARRAY[:moritz]);
SELECT id AS later FROM chat.send_message(:mara, :joined, 'after him') \gset
SELECT count(*) FROM chat.list_receipts(:mara, :joined, :early);
SELECT read_id = :later AS there FROM chat.mark_read(:moritz, :joined, :later);
SELECT user_id = :moritz AS moritz, has_read FROM chat.list_receipts(:mara, :joined, :later);
SELECT count(*) FROM chat.list_receipts(:mara, :joined, :early);

-- Whoever has been written to by a stranger tells nothing by reading, nor do their devices: not before they have written themselves.
CREATE FUNCTION test.cursors_of(viewer bigint, of_chat bigint, message bigint) RETURNS TABLE (shown boolean, listed bigint, told bigint) LANGUAGE sql AS $$
	SELECT other_read_id IS NOT NULL AND other_delivered_id IS NOT NULL, (SELECT count(*) FROM chat.list_receipts(viewer, of_chat, message)),
		(SELECT count(*) FROM chat.sync(viewer, message - 1) s, json_array_elements(s.state) e WHERE e ->> 'user_id' <> viewer::text)
	  FROM chat.get_chat(viewer, of_chat)
$$;
SELECT id AS strange FROM chat.open_direct_chat(:mona, :mara) \gset
SELECT id AS hi FROM chat.send_message(:mona, :strange, 'hi') \gset
SELECT delivered_id = :hi AS delivered, unread FROM chat.mark_delivered(:mara, :strange, :hi), chat.mark_read(:mara, :strange, :hi);
SELECT * FROM test.cursors_of(:mona, :strange, :hi);
SELECT shown, listed FROM test.cursors_of(:mara, :strange, :hi);
BEGIN;
SELECT count(*) FROM chat.invite_user(:mona, :mara), chat.accept_connection(:mara, :mona);
SELECT * FROM test.cursors_of(:mona, :strange, :hi);
ROLLBACK;
SELECT number FROM chat.send_message(:mara, :strange, 'hi yourself');
SELECT * FROM test.cursors_of(:mona, :strange, :hi);
-- Nor does the one tell anything whom the other has blocked, either way.
SELECT count(*) FROM chat.block_user(:mara, :mona);
SELECT * FROM test.cursors_of(:mona, :strange, :hi);
SELECT shown FROM test.cursors_of(:mara, :strange, :hi);
SELECT other_read_id, other_delivered_id FROM chat.list_chats(:mona) WHERE id = :strange;
SELECT chat.unblock_user(:mara, :mona);
SELECT * FROM test.cursors_of(:mona, :strange, :hi);
-- Whoever was put into a group by a stranger shows what they have read, and not when their device has it.
SELECT id AS trap FROM chat.create_group(:mona, 'Trap', ARRAY[:mila]) \gset
SELECT id AS bait FROM chat.send_message(:mona, :trap, 'bait') \gset
SELECT delivered_id = :bait AS there FROM chat.mark_delivered(:mila, :trap, :bait);
SELECT listed, told FROM test.cursors_of(:mona, :trap, :bait);
SELECT unread FROM chat.mark_read(:mila, :trap, :bait);
SELECT listed, told FROM test.cursors_of(:mona, :trap, :bait);
SELECT number FROM chat.send_message(:mila, :trap, 'what is this?');
SELECT listed, told FROM test.cursors_of(:mona, :trap, :bait);
DROP FUNCTION test.cursors_of;
SELECT test.recount(:chat);
