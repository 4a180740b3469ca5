// SPDX-License-Identifier: PostgreSQL
// Chats that have grown past chat.user_fanout_limit: published once, heard by their members on every worker, and by
// nobody else, from the event that lets somebody in to the one that takes him out.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sleep, until, World } from './harness.js';

const limit = 16; // chat.user_fanout_limit
const bulky = '€'.repeat(4000); // does not fit into a notification

describe('large chats', () => {
	let world;

	before(async () => {
		world = await World.start({ knobs: { workers: 2 } });
	});
	after(() => world.stop());

	const crowd = count => world.crowd(count);
	const connectAll = users => Promise.all(users.map(user => world.connect(user)));
	const closeAll = sockets => Promise.all(sockets.map(socket => socket.close()));

	const makeGroup = async (owner, members) => {
		const { id } = await owner.call('create_group', { title: 'group', member_ids: members.map(member => member.id) });
		return id;
	};

	// Durable events of the chat. By id, for events of two writers may arrive the other way round: prev_id is there for that.
	const eventsOf = (socket, chat_id) => socket.events.filter(event => event.chat_id === chat_id && event.prev_id)
		.sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
	const heard = (socket, id) => until(() => socket.events.some(event => event.id === id), `event ${id}`);
	const isChain = (events, what) => {
		for (let i = 1; i < events.length; i++)
			assert.equal(events[i].prev_id, events[i - 1].id, `${what}: event ${i} of ${events.length}`);
	};

	// Sends until told to.
	const storm = (socket, chat_id, lanes = 4) => {
		let going = true;
		let sent = 0;
		const running = Array.from({ length: lanes }, async () => {
			while (going)
				await socket.call('send_message', { chat_id, body: ++sent % 25 === 0 ? bulky : `storm ${sent}` });
		});
		return async () => {
			going = false;
			await Promise.all(running);
			return sent;
		};
	};

	// Nothing that was sent before is still on its way to these sockets: something later has arrived at each.
	const settle = async (users, sockets) => {
		const [sender] = await crowd(1);
		const socket = await world.connect(sender);
		for (const user of users)
		{
			const { id: chat_id } = await socket.call('open_direct_chat', { user_id: user.id });
			const { id } = await socket.call('send_message', { chat_id, body: 'fence' });
			await Promise.all(sockets.filter((_, i) => users[i % users.length] === user).map(own => heard(own, id)));
		}
		await socket.close();
	};

	test('a message reaches every socket of its members, on both workers, and nobody else', async () => {
		const members = await crowd(limit + 4);
		const others = await crowd(4);
		const sockets = await connectAll([...members, ...members]);
		const outside = await connectAll(others);
		const chat_id = await makeGroup(sockets[0], members.slice(1));
		const later = await connectAll(members.slice(0, 6)); // who logs in to a chat that is large already
		const ids = [];
		for (let i = 0; i < 10; i++)
			ids.push((await sockets[i].call('send_message', { chat_id, body: i % 5 === 4 ? bulky : `to all ${i}` })).id);
		await settle(others, outside);
		for (const [i, socket] of [...sockets, ...later].entries())
		{
			await heard(socket, ids.at(-1));
			const messages = eventsOf(socket, chat_id).filter(event => event.type === 'message');
			assert.deepEqual(messages.map(event => event.id), ids, `socket ${i}`);
			assert.ok(messages.every(event => event.message && !event.partial));
			isChain(eventsOf(socket, chat_id), `socket ${i}`);
		}
		for (const socket of outside)
			assert.deepEqual(eventsOf(socket, chat_id), []);
		assert.equal(await world.sql(`SELECT c.large FROM chat.chats c WHERE c.id = ${chat_id}`), 't');
		await closeAll([...sockets, ...outside, ...later]);
	});

	test('who comes in hears all from member_joined on, who goes member_left as the last, while messages fly', async () => {
		const members = await crowd(limit + 1);
		const guests = await crowd(8);
		const owner = await world.connect(members[0]);
		const chat_id = await makeGroup(owner, members.slice(1));
		const sockets = await connectAll([...guests, ...guests]);
		const stop = storm(await world.connect(members[1]), chat_id);
		for (let round = 0; round < 5; round++)
		{
			const user_ids = guests.map(guest => guest.id);
			await owner.call('add_members', { chat_id, user_ids: user_ids.slice(0, 4) });
			await Promise.all(user_ids.slice(4).map(user_id => owner.call('add_members', { chat_id, user_ids: [user_id] })));
			await sleep(40);
			await Promise.all(guests.map((guest, i) => i % 2
				? owner.call('remove_member', { chat_id, user_id: guest.id })
				: sockets[i].call('leave_chat', { chat_id })));
			await sleep(20);
		}
		await stop();
		await settle(guests, sockets);
		for (const [i, socket] of sockets.entries())
		{
			const { id } = guests[i % guests.length];
			const events = eventsOf(socket, chat_id);
			const isOwn = (event, type) => event.type === type && event.user_ids.includes(id);
			const starts = events.flatMap((event, at) => isOwn(event, 'member_joined') ? [at] : []);
			const ends = events.flatMap((event, at) => isOwn(event, 'member_left') ? [at] : []);
			assert.deepEqual([starts.length, ends.length], [5, 5]);
			for (const [round, start] of starts.entries())
			{
				isChain(events.slice(start, ends[round] + 1), `guest ${i}, stay ${round}`);
				assert.equal(ends[round], (starts[round + 1] ?? events.length) - 1, 'nothing between leaving and coming back');
			}
			assert.equal(starts[0], 0);
		}
		await closeAll(sockets);
	});

	test('many come in by one event too large for a notification, and go', async () => {
		const members = await crowd(limit + 1);
		const guests = await crowd(200);
		const owner = await world.connect(members[0]);
		const chat_id = await makeGroup(owner, members.slice(1));
		const sockets = await connectAll(guests.slice(0, 30));
		await world.sql("SELECT chat.set_setting('members_per_call_max', '500')");
		await owner.call('add_members', { chat_id, user_ids: guests.map(guest => guest.id) });
		const { id } = await owner.call('send_message', { chat_id, body: 'welcome' });
		for (const socket of sockets)
		{
			await heard(socket, id);
			const events = eventsOf(socket, chat_id);
			assert.deepEqual(events.map(event => event.type), ['member_joined', 'message']);
			assert.equal(events[0].user_ids.length, 200);
		}
		await closeAll(sockets);
	});

	test('growing past the limit loses and repeats nothing', async () => {
		for (let round = 0; round < 5; round++)
		{
			const members = await crowd(limit);
			const [last] = await crowd(1);
			const sockets = await connectAll([...members, ...members]);
			const newcomer = await world.connect(last);
			const chat_id = await makeGroup(sockets[0], members.slice(1));
			const stop = storm(sockets[1], chat_id);
			await sleep(30);
			await sockets[0].call('add_members', { chat_id, user_ids: [last.id] });
			await sleep(30);
			await stop();
			const { id } = await sockets[2].call('send_message', { chat_id, body: 'all here?' });
			for (const socket of [...sockets, newcomer])
			{
				await heard(socket, id);
				const events = eventsOf(socket, chat_id);
				isChain(events, 'a member');
				assert.equal(events.filter(event => event.type === 'chat_changed' && event.large).length, 1);
				assert.equal(events.at(-1).id, id);
			}
			assert.equal(eventsOf(newcomer, chat_id)[0].type, 'member_joined');
			await closeAll([...sockets, newcomer]);
		}
	});

	test('who has come in without the history hears nothing of what happens to it, whether before the chat grew, by growing, or later', async () => {
		const members = await crowd(limit - 1);
		const [early, grower, late, away] = await crowd(4);
		const owner = await world.connect(members[0]);
		const chat_id = await makeGroup(owner, members.slice(1));
		const { id: message_id } = await owner.call('send_message', { chat_id, body: 'history' });
		await world.sql("SELECT chat.set_setting('history_for_new_members', 'none')");
		const newcomers = await connectAll([early, grower, late]);
		const seeing = [owner, await world.connect(members[1])];
		for (const user of [early, grower, late, away])
			await owner.call('add_members', { chat_id, user_ids: [user.id] });
		newcomers.push(await world.connect(away)); // whose place is read from the database
		seeing.push(await world.connect(members[2]));
		await world.sql("SELECT chat.set_setting('history_for_new_members', 'all')");
		await owner.call('add_reaction', { chat_id, message_id, emoji: 'x' });
		await owner.call('edit_message', { chat_id, message_id, body: 'old history' });
		await owner.call('edit_message', { chat_id, message_id, body: bulky });
		await owner.call('pin_message', { chat_id, message_id });
		await owner.call('mark_read', { chat_id, message_id });
		const { id: new_id } = await owner.call('send_message', { chat_id, body: 'news' });
		await owner.call('add_reaction', { chat_id, message_id: new_id, emoji: 'x' });
		const { id } = await owner.call('delete_message', { chat_id, message_id }).then(() => owner.call('send_message', { chat_id, body: 'the end' }));
		for (const [i, socket] of [...seeing, ...newcomers].entries())
		{
			await heard(socket, id);
			const events = eventsOf(socket, chat_id);
			const told = events.slice(-8).map(event => event.type);
			isChain(events, `socket ${i}`);
			assert.deepEqual(told, seeing.includes(socket)
				? ['reaction_added', 'message_edited', 'message_edited', 'message_pinned', 'message', 'reaction_added', 'message_deleted', 'message']
				: ['event_hidden', 'event_hidden', 'event_hidden', 'event_hidden', 'message', 'reaction_added', 'event_hidden', 'message'], `socket ${i}`);
			if (!seeing.includes(socket))
				assert.ok(socket.events.every(event => event.message_id !== message_id), `socket ${i}`);
		}
		assert.equal(await world.sql(`SELECT c.large FROM chat.chats c WHERE c.id = ${chat_id}`), 't');
		await closeAll([...seeing, ...newcomers]);
	});

	test('login during a storm: whatever happens after it is heard, in one chain', async () => {
		const members = await crowd(60);
		const sender = await world.connect(members[0]);
		const chat_id = await makeGroup(sender, members.slice(1));
		const stop = storm(sender, chat_id);
		const sockets = await Promise.all([...members, ...members].map(async (user, i) => {
			await sleep(5 * i);
			const socket = await world.connect(user);
			socket.since = (await socket.call('get_chat', { chat_id })).last_event_id;
			return socket;
		}));
		await stop();
		const { id } = await sender.call('send_message', { chat_id, body: 'the end' });
		for (const [i, socket] of sockets.entries())
		{
			await heard(socket, id);
			const events = eventsOf(socket, chat_id).filter(event => BigInt(event.id) > BigInt(socket.since));
			isChain(eventsOf(socket, chat_id), `socket ${i}`);
			assert.equal(events[0].prev_id, socket.since, `socket ${i}`);
			assert.equal(events.at(-1).id, id);
		}
		await closeAll(sockets);
	});

	// Everything at once; what each socket heard is held against who was in when.
	test('members come, go, log in and out at random: each hears exactly what is for him', async () => {
		const members = await crowd(limit + 1);
		const guests = await crowd(12);
		const owner = await world.connect(members[0]);
		const chat_id = await makeGroup(owner, members.slice(1));
		const end = Date.now() + 5000;
		const lives = []; // of a socket: what was committed when its login was answered, and when all of it had to be here
		const lastEvent = async () => BigInt((await owner.call('get_chat', { chat_id })).last_event_id);
		const random = bound => Math.floor(Math.random() * bound);
		const stop = storm(await world.connect(members[1]), chat_id, 2);
		const stays = guests.map(async guest => {
			while (Date.now() < end)
			{
				await owner.call('add_members', { chat_id, user_ids: [guest.id] });
				await sleep(random(100));
				await owner.call('remove_member', { chat_id, user_id: guest.id });
				await sleep(random(100));
			}
			await owner.call('add_members', { chat_id, user_ids: [guest.id] });
		});
		const logins = guests.map(async guest => {
			while (Date.now() < end)
			{
				const socket = await world.connect(guest);
				const since = await lastEvent();
				await sleep(random(300));
				const upto = await lastEvent();
				await settle([guest], [socket]);
				lives.push({ guest, socket, since, upto });
				await socket.close();
			}
		});
		await Promise.all([...stays, ...logins]);
		await stop();
		const truth = (await world.sql(`SELECT id, coalesce(actor, '') FROM (
				SELECT m.id, NULL AS actor FROM chat.messages m WHERE m.chat_id = ${chat_id} AND m.kind = 'user'
				UNION ALL SELECT e.id, e.type || ' ' || (e.payload -> 'user_ids')::text FROM chat.events e WHERE e.chat_id = ${chat_id}) all_events
			ORDER BY id`)).split('\n').map(row => row.split('|')).map(([id, change]) => ({ id: BigInt(id), change }));
		const forGuest = id => {
			let inside = false;
			return truth.filter(({ change }) => {
				const own = change.includes(`"${id}"`);
				const was = inside;
				if (own)
					inside = change.startsWith('member_joined');
				return was || own;
			}).map(event => event.id);
		};
		assert.ok(lives.length > 20, `${lives.length} lives`);
		for (const { guest, socket, since, upto } of lives)
		{
			const ids = eventsOf(socket, chat_id).map(event => BigInt(event.id));
			const wanted = forGuest(guest.id);
			const allowed = new Set(wanted);
			assert.deepEqual(ids.filter(id => !allowed.has(id)), [], 'nothing that was not for him');
			assert.deepEqual(ids, [...new Set(ids)], 'once');
			const received = new Set(ids);
			assert.deepEqual(wanted.filter(id => id > since && id <= upto && !received.has(id)), [], 'all that was for him');
		}
	});

	// From here on notifications stay in the server; logins do not wait for them.
	const holdBack = async () => {
		const pid = Number(await world.sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'chat notifier'"));
		process.kill(pid, 'SIGSTOP');
		return () => process.kill(pid, 'SIGCONT');
	};

	test('memberships read ahead of the events that made them: still nothing from before', async () => {
		const members = await crowd(limit + 1);
		const [guest, former] = await crowd(2);
		const owner = await world.connect(members[0]);
		const chat_id = await makeGroup(owner, [...members.slice(1), former]);
		const release = await holdBack();
		await owner.call('send_message', { chat_id, body: bulky });
		await owner.call('send_message', { chat_id, body: 'before' });
		await owner.call('add_members', { chat_id, user_ids: [guest.id] });
		await owner.call('remove_member', { chat_id, user_id: former.id });
		const late = await connectAll([guest, former, members[2]]);
		assert.deepEqual(late.map(socket => eventsOf(socket, chat_id)), [[], [], []]);
		const { id } = await owner.call('send_message', { chat_id, body: 'after' });
		release();
		await Promise.all(late.filter((_, i) => i !== 1).map(socket => heard(socket, id)));
		await settle([former], [late[1]]);
		assert.deepEqual(eventsOf(late[0], chat_id).map(event => event.type), ['member_joined', 'member_left', 'message']);
		assert.deepEqual(eventsOf(late[1], chat_id).map(event => event.type), ['member_left'], 'but that he has left');
		assert.deepEqual(eventsOf(late[2], chat_id).map(event => event.message?.body.slice(0, 6)),
			[bulky.slice(0, 6), 'before', '', '', 'after']);
		await closeAll(late);
	});

	test('who is removed hears nothing of what overtakes his leaving', async () => {
		const members = await crowd(limit + 4);
		const sockets = await connectAll(members);
		const chat_id = await makeGroup(sockets[0], members.slice(1));
		await settle(members.slice(0, 1), sockets.slice(0, 1));
		// Committed and seen by everybody, but its events are held back for half a second
		const removal = world.sql(`SET chat.debug_pause = push;
			SELECT count(*) FROM chat.remove_member(${members[0].id}, ${chat_id}, ${members[3].id})`);
		await until(async () => await world.sql(`SELECT left_id IS NOT NULL FROM chat.members
			WHERE chat_id = ${chat_id} AND user_id = ${members[3].id}`) === 't', 'the removal to be seen');
		const { id } = await sockets[0].call('send_message', { chat_id, body: 'overtakes' });
		await Promise.all(sockets.filter((_, i) => i !== 3).map(socket => heard(socket, id)));
		assert.ok(!sockets[0].events.some(event => event.type === 'member_left' && event.chat_id === chat_id), 'it has overtaken');
		await removal;
		await until(() => sockets[3].events.some(event => event.type === 'member_left' && event.chat_id === chat_id), 'member_left');
		assert.ok(!sockets[3].events.some(event => event.id === id));
		await closeAll(sockets);
	});

	test('after a lost LISTEN connection: what was missed, and the memberships of then', async () => {
		const members = await crowd(limit + 4);
		const sockets = await connectAll([...members, ...members]);
		const chat_id = await makeGroup(sockets[0], members.slice(1));
		const [added] = await crowd(1);
		const newcomer = await world.connect(added);
		const removed = sockets.filter((_, i) => members[i % members.length] === members[3]);
		await settle(members, sockets);
		await world.sql(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'gateway' AND query LIKE '%chat.listen%';
			SELECT count(*) FROM chat.remove_member(${members[0].id}, ${chat_id}, ${members[3].id});
			SELECT count(*) FROM chat.add_members(${members[0].id}, ${chat_id}, ARRAY[${added.id}]::bigint[])`);
		await Promise.all([...sockets, newcomer].map(socket => socket.reply(frame => frame.method === 'synced')));
		const { id } = await sockets[0].call('send_message', { chat_id, body: 'after it' });
		for (const socket of [...sockets, newcomer].filter(socket => !removed.includes(socket)))
			await heard(socket, id);
		await settle([members[3]], removed);
		for (const socket of removed)
			assert.ok(!socket.events.some(event => event.id === id));
		await closeAll([...sockets, newcomer]);
	});

	test('a flood that overflows the gateway: what was dropped, and the memberships of then', async () => {
		const members = await crowd(limit + 2);
		const [added] = await crowd(1);
		const sockets = await connectAll([...members, added]);
		const chat_id = await makeGroup(sockets[0], members.slice(1));
		const removed = sockets[3];
		// An event that seems to have overtaken another: who is in the chat is asked, which takes a while, and all wait.
		const original = await world.sql(`SELECT pg_get_functiondef('chat.list_large_chats'::regproc)`);
		await world.sql(`${original.replaceAll('list_large_chats', 'list_at_once')};
			CREATE OR REPLACE FUNCTION chat.list_large_chats(user_ids bigint[]) RETURNS TABLE (user_id bigint, chat_id bigint, joined_id bigint, last_event_id bigint, visible_from bigint)
				LANGUAGE sql SECURITY DEFINER AS 'SELECT l.* FROM pg_sleep(1.5), chat.list_at_once($1) l';
			SELECT pg_notify(chat.chat_channel(${chat_id}), '{"chat":"${chat_id}","event":{"type":"noise","id":"' || last_event_id + 1 || '","prev_id":"1"}}')
			  FROM chat.chats WHERE id = ${chat_id}`);
		await sockets[0].call('remove_member', { chat_id, user_id: members[3].id });
		await sockets[0].call('add_members', { chat_id, user_ids: [added.id] });
		await world.sql(`SELECT count(pg_notify(chat.chat_channel(${chat_id}), '{"chat":"1","event":{"type":"noise","n":' || n || '}}'))
			FROM generate_series(1, 10000) n`);
		await Promise.all(sockets.map(socket => socket.reply(frame => frame.method === 'synced')));
		const { id } = await sockets[0].call('send_message', { chat_id, body: 'after it' });
		await Promise.all(sockets.filter(socket => socket !== removed).map(socket => heard(socket, id)));
		await settle([members[3]], [removed]);
		assert.ok(!removed.events.some(event => event.id === id));
		await world.sql(`${original}; DROP FUNCTION chat.list_at_once`);
		await closeAll(sockets);
	});

	test('1,200 sockets hear 50 messages in order, and calls are answered meanwhile', async () => {
		const members = await crowd(40);
		const sockets = [];
		for (let i = 0; i < 30; i++)
			sockets.push(...await connectAll(members));
		const chat_id = await makeGroup(sockets[0], members.slice(1));
		const sent = Promise.all(Array.from({ length: 50 }, (_, i) => sockets[i].call('send_message', { chat_id, body: `flood ${i}` })));
		const pings = Promise.all(sockets.slice(0, 200).map(socket => socket.call('ping')));
		await pings;
		const last = (await sent).map(({ id }) => BigInt(id)).reduce((a, b) => (a > b ? a : b)).toString();
		for (const socket of sockets)
		{
			await heard(socket, last);
			const events = eventsOf(socket, chat_id);
			isChain(events, 'a socket');
			assert.equal(events.filter(event => event.type === 'message').length, 50);
		}
		await closeAll(sockets);
	});
});
