// SPDX-License-Identifier: PostgreSQL
// A message leaves one socket and arrives at others: who hears what, in which order, whole, once.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { refused, World } from './harness.js';

describe('messages', () => {
	let world;
	let pair;

	before(async () => {
		world = await World.start();
		pair = await world.pair();
	});
	after(() => world.stop());

	const messageOf = id => event => event.type === 'message' && event.id === id;

	test('all sockets of both users hear the same event; its message is the list_messages row', async () => {
		const { alice, a, b, chat_id } = pair;
		const a2 = await world.connect(alice);
		await a2.call('get_profile');
		const sent = await a.call('send_message', { chat_id, body: 'hello' });
		const events = await Promise.all([a, a2, b].map(socket => socket.event(messageOf(sent.id), 'message')));
		assert.deepEqual(events[1], events[0]);
		assert.deepEqual(events[2], events[0]);
		const [event] = events;
		assert.deepEqual([event.chat_id, event.actor_id, event.prev_id], [chat_id, alice.id, sent.prev_id]);
		assert.ok(!('partial' in event) && !('to' in event));
		const { rows, has_more } = await b.call('list_messages', { chat_id });
		assert.equal(has_more, false);
		assert.deepEqual(event.message, rows.find(row => row.id === sent.id));
		assert.deepEqual([event.message.body, event.message.sender_id, event.message.kind], ['hello', alice.id, 'user']);
		await a2.close();
	});

	test('nobody else hears or reads it', async () => {
		const { a, b, chat_id } = pair;
		const carol = await world.user('carol');
		const c = await world.connect(carol);
		await c.call('get_profile');
		const sent = await a.call('send_message', { chat_id, body: 'between us' });
		await b.event(messageOf(sent.id));
		for (const [method, params] of [['list_messages', { chat_id }], ['send_message', { chat_id, body: 'me too' }],
			['get_chat', { chat_id }], ['mark_read', { chat_id, message_id: sent.id }]])
			assert.equal((await refused(c.call(method, params))).code, 404, method);
		assert.deepEqual(c.events, []);
		await c.close();
	});

	test('the same client_key gives the same message, once', async () => {
		const { a, b, chat_id } = pair;
		const message = { chat_id, body: 'once', client_key: 'key-1' };
		const first = await a.call('send_message', message);
		const again = await a.call('send_message', message);
		assert.equal(first.duplicate, false);
		assert.deepEqual([again.id, again.number, again.duplicate], [first.id, first.number, true]);
		assert.equal((await a.event(messageOf(first.id))).client_key, 'key-1');
		const error = await refused(a.call('send_message', { ...message, body: 'twice' }));
		assert.deepEqual([error.code, error.data.reason], [409, 'client_key_reused']);
		const next = await a.call('send_message', { chat_id, body: 'after' });
		await b.event(messageOf(first.id));
		assert.equal((await b.event(event => event.type === 'message')).id, next.id);
		assert.equal(next.prev_id, first.id);
		// The key is the sender's own: the other one may use it too.
		assert.equal((await b.call('send_message', { ...message, body: 'mine' })).duplicate, false);
	});

	test('list_messages: newest, before, after, around, and one anchor at most', async () => {
		const { a, b, chat_id } = await world.pair();
		const ids = [];
		for (let i = 1; i <= 10; i++)
			ids.push((await a.call('send_message', { chat_id, body: `m${i}` })).id);
		const page = async params => {
			const { rows, has_more } = await b.call('list_messages', { chat_id, ...params });
			return [rows.map(row => row.body).join(' '), has_more];
		};
		assert.deepEqual(await page({}), ['m1 m2 m3 m4 m5 m6 m7 m8 m9 m10', false]);
		assert.deepEqual(await page({ page_size: 3 }), ['m8 m9 m10', true]);
		assert.deepEqual(await page({ before_id: ids[7], page_size: 3 }), ['m5 m6 m7', true]);
		assert.deepEqual(await page({ before_id: ids[2], page_size: 3 }), ['m1 m2', false]);
		assert.deepEqual(await page({ after_id: ids[6], page_size: 2 }), ['m8 m9', true]);
		assert.deepEqual(await page({ after_id: ids[7], page_size: 2 }), ['m9 m10', false]);
		const [around] = await page({ around_id: ids[4], page_size: 5 });
		assert.match(around, /m4 m5 m6/);
		assert.equal((await refused(b.call('list_messages', { chat_id, before_id: ids[2], after_id: ids[1] }))).code, 400);
		assert.deepEqual((await b.call('list_messages', { chat_id })).rows.map(row => Number(row.number)), ids.map((_, i) => i + 1));
		await a.close();
		await b.close();
	});

	test('a large body arrives whole by event', async () => {
		const { a, b, chat_id } = pair;
		const body = `${'ж€😀'.repeat(1300)} end`;
		assert.ok(Buffer.byteLength(body) > 8000 && [...body].length <= 4096);
		const before = await a.call('send_message', { chat_id, body: 'before' });
		const large = await a.call('send_message', { chat_id, body });
		const behind = await a.call('send_message', { chat_id, body: 'behind' });
		for (const socket of [a, b])
		{
			const seen = [];
			for (let i = 0; i < 3; i++)
				seen.push(await socket.event(event => event.type === 'message' && BigInt(event.id) >= BigInt(before.id)));
			assert.deepEqual(seen.map(event => event.id), [before.id, large.id, behind.id]);
			assert.equal(seen[1].message.body, body);
			assert.ok(!seen[1].partial);
		}
	});

	test('a body that is too long or empty is refused', async () => {
		const { a, chat_id } = pair;
		assert.ok([400, 413].includes((await refused(a.call('send_message', { chat_id, body: 'x'.repeat(4097) }))).code));
		assert.equal((await refused(a.call('send_message', { chat_id, body: '' }))).code, 400);
		await a.call('send_message', { chat_id, body: '😀'.repeat(4096) });
	});

	test('a stranger and a blocked user do not hear what one reads, nor when one\'s device has it', async () => {
		const { alice, bob, a, b, chat_id } = await world.pair();
		const cursors = () => a.pushes.map(([, event]) => event).filter(event => ['read', 'delivered'].includes(event.type) && event.user_id === bob.id).map(event => event.type);
		const say = async (socket, body) => (await socket.call('send_message', { chat_id, body })).id;
		const move = async message_id => {
			await b.call('mark_delivered', { chat_id, message_id });
			await b.call('mark_read', { chat_id, message_id });
		};
		await move(await say(a, 'hi'));
		const { id } = await b.call('send_message', { chat_id, body: 'hi yourself' });
		await a.event(event => event.id === id, 'what came after it');
		assert.deepEqual(cursors(), []);
		const heard = await say(a, 'nice');
		await move(heard);
		await a.event(event => event.type === 'read' && event.message_id === heard, 'the read event');
		assert.deepEqual(cursors(), ['delivered', 'read']);
		const last = await say(a, 'nicer');
		await b.call('block_user', { user_id: alice.id });
		await move(last);
		assert.equal((await a.call('get_chat', { chat_id })).other_read_id, null);
		await b.call('unblock_user', { user_id: alice.id });
		const after = (await b.call('send_message', { chat_id, body: 'back' })).id;
		await a.event(event => event.id === after, 'what came after it');
		assert.deepEqual(cursors(), ['delivered', 'read']);
		await Promise.all([a.close(), b.close()]);
	});

	test('mark_read: cursors move forward, unread is exact, both sides hear of it', async () => {
		const { alice, bob, a, b, chat_id } = await world.pair();
		const ids = [];
		await b.call('send_message', { chat_id, body: 'hello' }); // else nobody would hear what he reads
		for (let i = 0; i < 5; i++)
			ids.push((await a.call('send_message', { chat_id, body: `r${i}` })).id);
		const unread = async socket => (await socket.call('list_chats')).rows.find(row => row.id === chat_id).unread;
		assert.deepEqual([await unread(a), await unread(b)], [0, 5]);

		const isRead = event => event.type === 'read' && event.user_id === bob.id;
		await b.call('mark_read', { chat_id, message_id: ids[2] });
		const own = await b.event(isRead, 'read event, own');
		const others = await a.event(isRead, 'read event, other');
		assert.deepEqual([own.chat_id, own.message_id, own.unread], [chat_id, ids[2], 2]);
		assert.deepEqual([others.chat_id, others.message_id], [chat_id, ids[2]]);
		assert.equal(await unread(b), 2);

		await b.call('mark_read', { chat_id, message_id: ids[0] });
		assert.equal(await unread(b), 2, 'a cursor never moves back');
		await b.call('mark_read', { chat_id, message_id: ids[4] });
		const last = await b.event(isRead);
		assert.equal(last.unread, 0);
		assert.ok(BigInt(last.version) > BigInt(own.version));

		// Answering reads one's own message.
		await b.call('send_message', { chat_id, body: 'read all' });
		assert.deepEqual([await unread(a), await unread(b)], [1, 0]);
		assert.ok(alice.id);
		await a.close();
		await b.close();
	});

	test('500 messages from two sockets arrive at both in one order, as one unbroken chain', async () => {
		const { a, b, chat_id } = await world.pair();
		const count = 250;
		const sending = [];
		for (let i = 0; i < count; i++)
			for (const [name, socket] of [['a', a], ['b', b]])
				sending.push(socket.call('send_message', { chat_id, body: `${name}${i}`, client_key: `${i}` }));
		const answers = await Promise.all(sending);
		const ids = answers.map(answer => answer.id).sort((x, y) => (BigInt(x) < BigInt(y) ? -1 : 1));
		assert.equal(new Set(ids).size, 2 * count);

		const heard = await Promise.all([a, b].map(async socket => {
			const events = [];
			while (events.length < 2 * count)
				events.push(await socket.event(event => event.type === 'message' && event.chat_id === chat_id));
			return events;
		}));
		for (const events of heard)
		{
			assert.deepEqual(events.map(event => event.id), ids);
			for (let i = 1; i < events.length; i++)
				assert.equal(events[i].prev_id, events[i - 1].id, `link ${i}`);
			// Order per socket: calls that name the same chat run in order.
			for (const name of ['a', 'b'])
				assert.deepEqual(events.map(event => event.message.body).filter(body => body[0] === name),
					Array.from({ length: count }, (_, i) => `${name}${i}`));
			assert.deepEqual(events.map(event => Number(event.message.number)), events.map((_, i) => i + 1));
		}
		const stored = [];
		for (let after_id = '0', more = true; more;)
		{
			const { rows, has_more } = await a.call('list_messages', { chat_id, after_id, page_size: 128 });
			stored.push(...rows.map(row => row.id));
			[after_id, more] = [rows.at(-1).id, has_more];
		}
		assert.deepEqual(stored, ids);
		await a.close();
		await b.close();
	});

	test('one direct chat per pair, whoever opens it, also at once', async () => {
		const [x, y] = [await world.user('x'), await world.user('y')];
		const [a, b] = [await world.connect(x), await world.connect(y)];
		const chats = await Promise.all([...Array(10).keys()].map(i =>
			i % 2 ? a.call('open_direct_chat', { user_id: y.id }) : b.call('open_direct_chat', { user_id: x.id })));
		assert.equal(new Set(chats.map(chat => chat.id)).size, 1);
		await a.close();
		await b.close();
	});
});
