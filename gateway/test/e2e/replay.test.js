// SPDX-License-Identifier: PostgreSQL
// What a socket has missed is pushed to it, in order and without a gap: when it comes back with a cursor, and when the
// gateway itself did not hear for a while. Nobody is told to look for himself.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { byId, refused, Relay, seen, sleep, storm, until, within, World } from './harness.js';

describe('replay', () => {
	let world;
	let calls;
	let listen;

	before(async () => {
		world = await World.start({
			knobs: async world => {
				calls ??= await Relay.start(world);
				listen ??= await Relay.start(world);
				return { workers: 1, cursor_interval: '200ms', outbound_limit: '256kB', database: calls.dsn, listen_database: listen.dsn };
			}
		});
		await chatLimit(1000); // so that what is to be missed in one chat may be much
	});
	after(async () => {
		await world.stop();
		calls.stop();
		listen.stop();
	});

	const chatLimit = count => world.sql(`SELECT count(chat.set_setting('sync_chat_limit', '${count}'))`);

	const synced = (socket, what = 'synced') => within(socket.reply(frame => frame.method === 'synced', 60000), what, 60000);
	const closeAll = sockets => Promise.all(sockets.map(socket => socket.close()));

	const say = (socket, chat_id, count, words = 'message') =>
		Promise.all(Array.from({ length: count }, (_, i) => socket.call('send_message', { chat_id, body: `${words} ${i}` })));

	// sync does what the test wants; `atOnce` in it is what it does else.
	const replaceSync = async body => {
		const original = await world.sql(`SELECT pg_get_functiondef('chat.sync'::regproc)`);
		await world.sql(original.replaceAll('chat.sync(', 'chat.sync_at_once(').replaceAll('sync.', 'sync_at_once.'));
		await world.sql(`CREATE OR REPLACE FUNCTION chat.sync(actor_id bigint, since bigint DEFAULT NULL, page_size integer DEFAULT NULL,
			OUT events json, OUT state json, OUT cursor bigint, OUT has_more boolean, OUT reset boolean)
			LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN ${body} END $$`);
		return () => world.sql(`${original}; DROP FUNCTION chat.sync_at_once`);
	};
	const atOnce = `SELECT s.events, s.state, s.cursor, s.has_more, s.reset INTO events, state, sync.cursor, has_more, reset
		FROM chat.sync_at_once(sync.actor_id, sync.since, sync.page_size) s;`;

	test('every login is answered with a cursor, and what is no cursor is refused', async () => {
		const alice = await world.user('alice');
		const socket = await world.connect();
		const answer = await socket.call('log_in', { user_name: alice.name, password: alice.password, device_name: 'test' });
		assert.match(answer.cursor, /^\d+$/);
		assert.ok(BigInt(answer.cursor) <= BigInt(await world.sql('SELECT chat.horizon()')));
		const other = await world.enter(alice);
		assert.match(other.answer.cursor, /^\d+$/);
		for (const since of ['x', 1.5, {}, '99999999999999999999'])
			assert.equal((await refused(other.call('authenticate', { token: alice.token, since }))).code, -32602);
		await closeAll([socket, other]);
	});

	test('a cursor from the future, or a negative one, is refused before the token is looked at, and logged by nobody', async () => {
		const alice = await world.user('alice');
		const socket = await world.connect();
		const ahead = seconds => world.sql(`SELECT chat.id_at(clock_timestamp() + interval '${seconds} s')`);
		for (const since of ['9223372036854775807', '-9223372036854775808', -1, await ahead(70), await ahead(3600 * 24 * 365)])
		{
			const { code, data } = await refused(socket.call('authenticate', { token: 'nonsense', since }));
			assert.deepEqual([code, data.reason, data.parameter], [400, 'bad_cursor', 'since'], since);
		}
		const since = await ahead(50);
		assert.equal((await socket.call('authenticate', { token: alice.token, since })).cursor, since, 'clocks differ');
		await synced(socket);
		await socket.close();
		assert.doesNotMatch(world.gateway.log, /level=error/);
	});

	test('where the ids of the database are ahead of our clock, so may cursors be', async () => {
		const [user] = await world.crowd(1);
		const socket = await world.connect();
		const since = await world.sql(`SELECT chat.id_at(clock_timestamp() + interval '5 min')`);
		const outcome = () => socket.call('authenticate', { token: user.token, since }).then(() => 'taken', ({ data }) => data.reason);
		const original = await world.sql(`SELECT pg_get_functiondef('chat.publish_horizon'::regproc)`);
		assert.equal(await outcome(), 'bad_cursor');
		await world.sql(original.replace('chat.publish_horizon(', 'chat.publish_at_once('));
		await world.sql(`CREATE OR REPLACE FUNCTION chat.publish_horizon(OUT horizon bigint, OUT delivery text) LANGUAGE sql SECURITY DEFINER AS
			$$ SELECT p.horizon + (300000::bigint << 22), p.delivery FROM chat.publish_at_once() p $$`);
		await until(async () => await outcome() === 'taken', 'taken');
		await world.sql(`${original}; DROP FUNCTION chat.publish_at_once`);
		await until(async () => await outcome() === 'bad_cursor', 'refused again');
		await socket.close();
	});

	test('all that was missed comes in the order of its ids, over many pages, then synced, then live', async () => {
		const { sender, chats: [small, large], members } = await world.party();
		const first = await world.enter(members[0]);
		const since = first.answer.cursor;
		await first.close();
		const sent = [...await say(sender, small, 150), ...await say(sender, large, 150)];
		const { id: edited } = await sender.call('send_message', { chat_id: small, body: 'once' });
		await sender.call('edit_message', { chat_id: small, message_id: edited, body: 'twice' });
		const socket = await world.enter(members[0], since);
		assert.equal(socket.answer.cursor, since, 'the one to keep until synced');
		const { params: { cursor } } = await synced(socket);
		const live = await sender.call('send_message', { chat_id: large, body: 'live' });
		await socket.event(event => event.id === live.id, 'a live one');
		const end = socket.pushes.findIndex(([method]) => method === 'synced');
		const ids = socket.pushes.slice(0, end).filter(([, event]) => event.prev_id).map(([, event]) => event.id);
		assert.deepEqual(ids, [...new Set(ids)].sort(byId), 'once, in order');
		const messages = socket.pushes.slice(0, end).map(([, event]) => event).filter(({ type }) => type === 'message').map(({ id }) => id);
		assert.deepEqual(messages, [...sent.map(({ id }) => id), edited].sort(byId));
		await world.haveAll([socket], [small, large]);
		assert.ok(ids.length > 301 && byId(cursor, since) > 0);
		const message = socket.pushes.map(([, event]) => event).find(event => event.id === edited);
		assert.equal(message.message.body, 'twice', 'at its present state');
		await closeAll([sender, socket]);
	});

	test('again and again, while others keep sending: no gap', async () => {
		const { sender, chats, members } = await world.party();
		const stop = storm(sender, chats);
		let since = (await world.enter(members[0])).answer.cursor;
		const all = { pushes: [] };
		for (let round = 0; round < 12; round++)
		{
			const socket = await world.enter(members[0], since);
			await synced(socket);
			await sleep(50 * (round % 3));
			const heard = socket.pushes.map(([method, params]) => (['synced', 'cursor'].includes(method) ? params.cursor : null)).filter(Boolean);
			since = heard.at(-1);
			assert.deepEqual(heard, [...heard].sort(byId), 'cursors move forward');
			await socket.close();
			all.pushes.push(...socket.pushes);
		}
		await stop();
		const socket = await world.enter(members[0], since);
		await synced(socket);
		all.pushes.push(...socket.pushes);
		for (const chat_id of chats)
		{
			const ids = seen(all, chat_id).sort(byId);
			const truth = await world.truth(chat_id);
			assert.deepEqual(ids, truth.slice(truth.indexOf(ids[0])));
			assert.ok(ids.length > 20, `${ids.length} events`);
		}
		await closeAll([sender, socket]);
	});

	test('a live socket: refresh leaves its cursor, since replays, others of the user hear nothing of it', async () => {
		const { sender, small, members } = await world.party();
		const first = await world.enter(members[0]);
		const other = await world.enter(members[0]);
		await say(sender, small, 5);
		await until(() => seen(first, small).length === 5, 'five');
		const refreshed = await first.call('authenticate', { token: members[0].token });
		assert.ok(byId(refreshed.cursor, first.answer.cursor) >= 0);
		await first.call('authenticate', { token: members[0].token, since: first.answer.cursor });
		await synced(first);
		const ids = first.pushes.filter(([method, event]) => method === 'event' && event.type === 'message').map(([, event]) => event.id);
		assert.equal(ids.length, 10);
		assert.deepEqual(ids.slice(0, 5), ids.slice(5));
		assert.equal(other.count('synced'), 0);
		await closeAll([sender, first, other]);
	});

	test('the cursor is pushed when something has come, and moves; a socket that comes back with it misses nothing', async () => {
		const { sender, small, members } = await world.party();
		const socket = await world.enter(members[0]);
		const cursors = [];
		for (let i = 0; i < 3; i++)
		{
			const { id } = await sender.call('send_message', { chat_id: small, body: 'news' });
			cursors.push(await socket.cursor(id));
			assert.ok(seen(socket, small).includes(id), 'behind what it stands for');
		}
		assert.deepEqual(cursors, [...new Set(cursors)].sort(byId));
		await socket.close();
		const { id } = await sender.call('send_message', { chat_id: small, body: 'missed' });
		const back = await world.enter(members[0], cursors.at(-1));
		await synced(back);
		assert.deepEqual(seen(back, small), [id]);
		await closeAll([sender, back]);
	});

	test('LISTEN lost again and again under load: everybody has everything, nobody is told to look', async () => {
		const { sender, chats, members } = await world.party(10);
		const sockets = await Promise.all([...members, ...members].slice(0, 16).map(member => world.enter(member)));
		const inSmall = sockets.filter((_, i) => i % 10 < 4);
		const stop = storm(sender, chats);
		for (let round = 0; round < 4; round++)
		{
			await sleep(300);
			await world.sql(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'gateway' AND query LIKE '%chat.listen%'`);
			await Promise.all(sockets.map(socket => until(() => socket.count('synced') > round, 'a replay')));
		}
		const later = await world.enter(members[0]); // who comes in between hears all from then on
		await sleep(300);
		await stop();
		await world.haveAll(inSmall, [chats[0]]);
		await world.haveAll([...sockets, later], [chats[1]]);
		await closeAll([sender, later, ...sockets]);
	});

	test('all connections lost under load: sockets stay, and have everything when the database is back', async () => {
		const { sender, chats, members } = await world.party();
		const sockets = await Promise.all(members.map(member => world.enter(member)));
		const writer = setInterval(() => world.sql(`SELECT count(chat.send_message(m.user_id, m.chat_id, 'from elsewhere'))
			FROM chat.members m WHERE m.chat_id IN (${chats}) AND m.role = 'owner'`).catch(() => {}), 100);
		for (let round = 0; round < 2; round++)
		{
			calls.cut();
			listen.cut();
			await sleep(600);
			calls.allow();
			listen.allow();
			await Promise.all(sockets.map(socket => until(() => socket.count('synced') > round, 'a replay', 30000)));
		}
		clearInterval(writer);
		await sleep(300); // the last one has ended
		for (const chat_id of chats)
			await until(() => sender.call('send_message', { chat_id, body: 'end' }).catch(() => null), 'calls again');
		await world.haveAll(sockets, chats);
		assert.ok(sockets.every(socket => !socket.ended));
		await closeAll([sender, ...sockets]);
	});

	test('chat_resync: everything is replayed, and a storm of them is one round and one more', async () => {
		const { sender, small, chats, members } = await world.party();
		const socket = await world.enter(members[0]);
		await sleep(5000); // a round of the tests before puts the first one off, and that one then serves for all
		const stop = storm(sender, chats, 50);
		const rounds = socket.count('synced');
		const began = Date.now();
		for (let i = 0; i < 40; i++)
		{
			await world.sql('NOTIFY chat_resync');
			await sleep(50);
		}
		await until(() => socket.count('synced') > rounds, 'a round', 8000);
		const most = 2 + Math.floor((Date.now() - began) / 5000); // one at once, then one in 5 s
		assert.ok(socket.count('synced') - rounds <= most, `${socket.count('synced') - rounds} rounds`);
		await until(() => socket.count('synced') > rounds + 1, 'one more', 8000);
		await stop();
		await world.haveAll([socket], chats);
		const { id } = await sender.call('send_message', { chat_id: small, body: 'after it' });
		await socket.cursor(id);
		await closeAll([sender, socket]);
	});

	test('more live events than are held: one more page instead', async () => {
		const { sender, chats, members } = await world.party();
		const socket = await world.enter(members[0]);
		await world.sql('CREATE TABLE public.gate (open boolean); GRANT SELECT ON public.gate TO chat_owner');
		const restore = await replaceSync(`${atOnce} WHILE NOT EXISTS (SELECT FROM public.gate) LOOP PERFORM pg_sleep(0.05); END LOOP;`);
		await socket.call('authenticate', { token: members[0].token, since: socket.answer.cursor });
		await sleep(300);
		for (const chat_id of chats)
			await world.sql(`SELECT count(chat.send_message(m.user_id, m.chat_id, repeat('x', 500))) FROM chat.members m, generate_series(1, 600)
				WHERE m.chat_id = ${chat_id} AND m.role = 'owner'`);
		await world.haveAll([sender], chats);
		await world.sql('INSERT INTO public.gate VALUES (true)');
		await synced(socket);
		await restore();
		await world.haveAll([socket], chats);
		const upto = socket.pushes.findIndex(([method]) => method === 'synced');
		assert.ok(socket.pushes.slice(0, upto).filter(([, event]) => event.type === 'message').length >= 1200, 'by the replay');
		await closeAll([sender, socket]);
	});

	test('a few live events that come during the last page are held, and released behind synced', async () => {
		const { sender, small, members } = await world.party();
		const socket = await world.enter(members[0]);
		const restore = await replaceSync(`${atOnce} PERFORM pg_sleep(1);`);
		const [missed] = await say(sender, small, 1, 'missed');
		await until(() => seen(socket, small).includes(missed.id), 'live');
		const from = socket.pushes.length;
		await socket.call('authenticate', { token: members[0].token, since: socket.answer.cursor });
		await sleep(300);
		const held = await say(sender, small, 3, 'held');
		await synced(socket);
		await restore();
		await until(() => seen(socket, small).includes(held.at(-1).id), 'the held ones');
		const order = socket.pushes.slice(from).flatMap(([method, event]) =>
			(method === 'synced' ? ['synced'] : event.type === 'message' ? [event.id] : []));
		assert.deepEqual(order, [missed.id, 'synced', ...held.map(({ id }) => id)]);
		await closeAll([sender, socket]);
	});

	test('a reader that pauses in a long replay gets all of it', async () => {
		const { sender, small, members } = await world.party();
		const socket = await world.enter(members[0]);
		await world.sql(`SELECT count(chat.send_message(m.user_id, m.chat_id, repeat('汉', 4000))) FROM chat.members m, generate_series(1, 150)
			WHERE m.chat_id = ${small} AND m.role = 'owner'`);
		const since = socket.answer.cursor;
		await world.haveAll([sender], [small]); // nothing of it comes live any more
		await socket.close();
		const slow = await world.enter(members[0]);
		slow.ws.pause();
		slow.send({ jsonrpc: '2.0', id: 'again', method: 'authenticate', params: { token: members[0].token, since } });
		await sleep(1000);
		const before = slow.events.length;
		slow.ws.resume();
		await synced(slow);
		assert.equal(before, 0);
		await world.haveAll([slow], [small]);
		assert.equal(slow.pushes.filter(([, event]) => event.message?.body.length === 4000).length, 150);
		await closeAll([sender, slow]);
	});

	test('reset when the cursor is older than all logs, chat_reset for a chat where too much happened', async () => {
		const { sender, small, large, members } = await world.party();
		const socket = await world.enter(members[0]);
		const { answer: { cursor: since } } = socket;
		await chatLimit(200);
		await world.sql(`SELECT count(chat.send_message(m.user_id, m.chat_id, 'many')) FROM chat.members m, generate_series(1, 500)
			WHERE m.chat_id = ${small} AND m.role = 'owner'`);
		await say(sender, large, 3);
		const back = await world.enter(members[0], since);
		await synced(back);
		const resets = back.pushes.filter(([method]) => method === 'chat_reset');
		assert.deepEqual(resets, [['chat_reset', { chat_id: small }]]);
		assert.ok(seen(back, small).length < 500);
		assert.equal(seen(back, large).length, 3);
		const old = await world.enter(members[0], '1');
		const { params: { cursor } } = await synced(old);
		assert.deepEqual(old.pushes.filter(([method]) => method === 'reset'), [['reset', {}]]);
		assert.ok(byId(cursor, since) > 0);
		assert.deepEqual(old.pushes.map(([method]) => method).filter(method => method !== 'event').slice(0, 2), ['reset', 'synced']);
		await chatLimit(1000);
		await closeAll([sender, socket, back, old]);
	});

	test('a replay that fails for good is a resync, one that fails for a moment is not', async () => {
		const { sender, small, members } = await world.party();
		const socket = await world.enter(members[0]);
		const again = () => socket.call('authenticate', { token: members[0].token, since: socket.answer.cursor });
		let restore = await replaceSync(`RAISE 'no' USING ERRCODE = 'XX000';`);
		await again();
		await socket.reply(({ method }) => method === 'resync');
		const { id } = await sender.call('send_message', { chat_id: small, body: 'live all the same' });
		await socket.event(event => event.id === id, 'a live one');
		await restore();
		const log = world.gateway.log.length;
		restore = await replaceSync(`RAISE 'the clock there is behind' USING ERRCODE = 'MC400', DETAIL = 'id_in_future';`);
		await again();
		await socket.reply(({ method }) => method === 'resync');
		assert.doesNotMatch(world.gateway.log.slice(log), /level=error/, 'the client could have it at will');
		await restore();
		await world.sql('CREATE SEQUENCE public.attempts; GRANT USAGE ON SEQUENCE public.attempts TO PUBLIC');
		restore = await replaceSync(`IF nextval('public.attempts') < 3 THEN RAISE 'not now' USING ERRCODE = '57014'; END IF; ${atOnce}`);
		await again();
		await synced(socket);
		assert.equal(socket.count('resync'), 2);
		await restore();
		await closeAll([sender, socket]);
	});

	test('all channels get other names under load: nothing is missed, on user channels of one\'s own and on the shared one', async () => {
		for (const kind of ['own', 'shared'])
		{
			await world.sql(`ALTER SYSTEM SET chat.user_channels = ${kind}`);
			await world.sql('SELECT pg_reload_conf()');
			const { sender, chats, members } = await world.party();
			const sockets = await Promise.all(members.map(member => world.enter(member)));
			const stop = storm(sender, chats, 30);
			for (let round = 0; round < 2; round++)
			{
				const before = sockets.map(socket => socket.count('synced'));
				await sleep(200);
				await world.sql('SELECT chat.rotate_channel_key()');
				await Promise.all(sockets.map((socket, i) => until(() => socket.count('synced') > before[i], 'a round', 20000)));
			}
			const late = await world.crowd(1);
			const added = await world.enter(late[0]);
			await sender.call('add_members', { chat_id: chats[1], user_ids: [late[0].id] });
			await sleep(200);
			await stop();
			await world.haveAll(sockets, chats);
			await world.haveAll([added], [chats[1]]);
			await closeAll([sender, added, ...sockets]);
		}
		await world.sql('ALTER SYSTEM RESET chat.user_channels');
		await world.sql('SELECT pg_reload_conf()');
	});

	test('a transaction that took its channels before they were renamed is heard', async () => {
		const { sender, small, members, owner } = await world.party();
		const socket = await world.enter(members[0]);
		const rounds = socket.count('synced');
		const open = world.sql(`BEGIN; SELECT count(chat.send_message(${owner.id}, ${small}, 'long')); SELECT pg_sleep(2); COMMIT`);
		await sleep(400);
		await world.sql('SELECT chat.rotate_channel_key()');
		await until(() => socket.count('synced') > rounds, 'a round', 20000);
		await open;
		await world.haveAll([socket], [small]);
		await closeAll([sender, socket]);
	});
});
