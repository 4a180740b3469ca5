// SPDX-License-Identifier: PostgreSQL
// Events that are too large for one notification: they come in parts, hold up nobody, and where there is no room for them
// their receivers alone look for themselves.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { World } from './harness.js';

const large = '€'.repeat(4000);

for (const user_channels of ['own', 'shared'])
	describe(`large events, user_channels = ${user_channels}`, () => {
		let world;
		let users;
		let sockets;
		let chat_id; // of the first two
		before(async () => {
			world = await World.start({ env: { CHAT_OPTIONS: `chat.user_channels = ${user_channels}\nchat.ring_size = 512kB` }, knobs: { workers: 2, outbound_limit: '8MB' } });
			users = await world.crowd(4);
			sockets = await Promise.all(users.map(user => world.connect(user)));
			chat_id = (await sockets[0].call('open_direct_chat', { user_id: users[1].id })).id;
		});
		after(() => world.stop());

		const overflows = () => world.sql("SELECT coalesce(chat.delivery_stat('overflowed'), 0)");
		const rounds = () => world.gateway.log.match(/event=(replaying|parts_lost|events_dropped)/g);

		test('all texts come whole and in order, profiles and drafts too', async () => {
			const ids = [];
			for (const body of ['one', large, `${'😀x'.repeat(2048)}`, 'two', '\u0001'.repeat(4096)])
				ids.push([(await sockets[0].call('send_message', { chat_id, body })).id, body]);
			for (const [id, body] of ids)
				for (const socket of sockets.slice(0, 2))
					assert.equal((await socket.event(event => event.type === 'message')).message.body, body, id);
			await sockets[0].call('save_draft', { chat_id, body: large });
			assert.equal((await sockets[0].event(event => event.type === 'draft_changed')).body, large);
			await sockets[0].call('edit_profile', { attributes: { a: 'x'.repeat(16000) } });
			assert.equal((await sockets[0].event(event => event.type === 'profile_changed')).attributes.a.length, 16000);
		});

		test('where there is no room its receivers are replayed, and nobody else is', async () => {
			const last = BigInt(await world.sql(`SELECT last_event_id FROM chat.chats WHERE id = ${chat_id}`));
			await world.sql(`SELECT count(chat.send_message(${users[0].id}, ${chat_id}, '${large}')) FROM generate_series(1, 20)`);
			for (const socket of sockets.slice(0, 2))
			{
				const bodies = new Map();
				while (bodies.size < 20)
				{
					const event = await socket.event(({ type, id }) => type === 'message' && BigInt(id) > last);
					bodies.set(event.id, event.message.body);
				}
				assert.ok([...bodies.values()].every(body => body === large));
				await socket.reply(frame => frame.method === 'synced');
			}
			const { id } = await sockets[2].call('send_message', { chat_id: (await sockets[2].call('open_direct_chat', { user_id: users[3].id })).id, body: 'beside' });
			await sockets[3].event(event => event.id === id);
			assert.deepEqual(sockets.slice(2).map(socket => socket.count('synced') + socket.count('resync')), [0, 0]);
			assert.deepEqual([await overflows(), rounds()], ['0', null]);
		});

		test('one who sends them as fast as can be makes nobody else look for what is missing', async () => {
			const beside = (await sockets[2].call('open_direct_chat', { user_id: users[3].id })).id;
			let going = true;
			const flood = Promise.all(Array.from({ length: 32 }, async () => {
				for (let i = 0; i < 20; i++)
					await sockets[0].call('send_message', { chat_id, body: large });
			})).then(() => { going = false; });
			let sent = 0;
			while (going)
			{
				const { id } = await sockets[2].call('send_message', { chat_id: beside, body: `${++sent}` });
				await sockets[3].event(event => event.id === id);
			}
			await flood;
			assert.ok(sent > 0);
			assert.deepEqual(sockets.slice(2).map(socket => socket.count('synced') + socket.count('resync')), [0, 0]);
			assert.deepEqual([await overflows(), rounds()], ['0', null]);
		});
	});
