-- Demo data for `make run DEMO=1`: three users and what they said to each other. Runs again without harm: what is
-- there already stays as it is.

DO $$
DECLARE
	demo record;
	alice bigint;
	bob bigint;
	carol bigint;
BEGIN
	FOR demo IN SELECT * FROM (VALUES ('alice', 'Alice'), ('bob', 'Bob'), ('carol', 'Carol')) AS v (name, display)
	LOOP
		IF NOT EXISTS (SELECT FROM chat.users AS u WHERE u.user_name = demo.name) THEN
			PERFORM chat.register_user(user_name => demo.name, password => 'demo password', display_name => demo.display);
		END IF;
	END LOOP;
	SELECT u.id INTO alice FROM chat.users AS u WHERE u.user_name = 'alice';
	SELECT u.id INTO bob FROM chat.users AS u WHERE u.user_name = 'bob';
	SELECT u.id INTO carol FROM chat.users AS u WHERE u.user_name = 'carol';
	PERFORM chat.open_direct_chat(alice, bob);
	PERFORM chat.open_direct_chat(alice, carol);
	PERFORM chat.open_direct_chat(bob, carol);
END
$$;

-- A conversation is told only into an empty chat.
DO $$
DECLARE
	line record;
	chat_of bigint;
	sender bigint;
	told bigint[] := '{}';
BEGIN
	FOR line IN
		SELECT * FROM (VALUES
			('alice', 'bob', 'Morning! Did the delivery arrive?'),
			('bob', 'alice', 'It did, twelve boxes. I am unpacking.'),
			('alice', 'bob', 'Anything broken?'),
			('bob', 'alice', 'One cup. The rest is fine 🙂'),
			('alice', 'carol', 'Carol, can you take the late shift on Friday?'),
			('carol', 'alice', 'Yes, from six on.'),
			('carol', 'bob', 'Which shelf do the cups go on?')
		) AS v (from_name, to_name, body)
	LOOP
		SELECT u.id INTO sender FROM chat.users AS u WHERE u.user_name = line.from_name;
		SELECT c.id INTO chat_of FROM chat.users AS u, LATERAL chat.open_direct_chat(sender, u.id) AS c
		WHERE u.user_name = line.to_name;
		IF chat_of = ANY (told) OR NOT EXISTS (SELECT FROM chat.list_messages(sender, chat_of)) THEN
			told := told || chat_of;
			PERFORM chat.send_message(actor_id => sender, chat_id => chat_of, body => line.body);
		END IF;
	END LOOP;
END
$$;
