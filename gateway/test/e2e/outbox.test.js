// SPDX-License-Identifier: PostgreSQL
// Events by way of chat.outbox instead of LISTEN: with no LISTEN connection at all, and while the one way is left for
// the other.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { seen, sleep, storm, until, World } from './harness.js';

const deliver = async (world, mode) => {
	await world.sql(`ALTER SYSTEM SET chat.delivery = ${mode}`);
	await world.sql('SELECT pg_reload_conf()');
	await until(async () => await world.sql('SHOW chat.delivery') === mode, mode);
};

describe('without LISTEN', () => {
	let world;

	before(async () => {
		world = await World.start({
			knobs: async world => {
				await deliver(world, 'outbox');
				return { workers: 2, use_listen: 'off', cursor_interval: '200ms', outbox_interval: '20ms' };
			}
		});
		await world.sql(`SELECT count(chat.set_setting('sync_chat_limit', '2000'))`);
	});
	after(() => world.stop());

	test('everybody hears everything, on both workers, small chats and large, and the cursor moves', async () => {
		const { sender, chats, members } = await world.party(6);
		const sockets = await Promise.all([...members, ...members].map(member => world.enter(member)));
		const stop = storm(sender, chats);
		await sleep(1000);
		await stop();
		const inSmall = sockets.filter((_, i) => i % 6 < 4);
		await world.haveAll(inSmall, [chats[0]]);
		await world.haveAll(sockets, [chats[1]]);
		const last = (await world.truth(chats[1])).at(-1);
		for (const socket of sockets)
			await socket.cursor(last);
		assert.equal(await world.sql(`SELECT count(*) FROM pg_stat_activity WHERE usename = 'gateway' AND query LIKE '%chat.listen%'`), '0');
		await Promise.all([sender, ...sockets].map(socket => socket.close()));
	});

	test('events are for those whom they name, once', async () => {
		const { sender, small, members } = await world.party();
		const [stranger] = await world.crowd(1);
		const outside = await world.enter(stranger);
		const socket = await world.enter(members[0]);
		const { id } = await sender.call('send_message', { chat_id: small, body: 'to a few' });
		await socket.event(event => event.id === id);
		const direct = await sender.call('open_direct_chat', { user_id: stranger.id });
		const fence = await sender.call('send_message', { chat_id: direct.id, body: 'fence' });
		await outside.event(event => event.id === fence.id);
		assert.deepEqual(seen(outside, small), []);
		assert.equal(socket.pushes.filter(([, event]) => event.id === id).length, 1);
		await Promise.all([sender, outside, socket].map(one => one.close()));
	});

	test('a socket that comes back gets what it missed, while others send', async () => {
		const { sender, chats, members } = await world.party();
		const first = await world.enter(members[0]);
		const stop = storm(sender, chats);
		await sleep(300);
		await first.close();
		await sleep(300);
		const since = first.cursors.at(-1) ?? first.answer.cursor;
		const back = await world.enter(members[0], since);
		await back.reply(({ method }) => method === 'synced');
		await stop();
		await until(async () => seen(back, chats[0]).includes((await world.truth(chats[0])).at(-1)), 'the last one');
		back.pushes.unshift(...first.pushes);
		await world.haveAll([back], [chats[0]]);
		await sender.close();
		await back.close();
	});

	test('a login that ends takes its sockets along', async () => {
		const [user] = await world.crowd(1);
		const socket = await world.connect(user);
		await socket.call('log_out');
		assert.equal((await socket.ending('4003')).code, 4003);
	});
});

describe('another way of delivery', () => {
	let world;

	before(async () => {
		world = await World.start({ knobs: { workers: 1, cursor_interval: '300ms', outbox_interval: '20ms' } });
		await world.sql(`SELECT count(chat.set_setting('sync_chat_limit', '2000'))`);
	});
	after(() => world.stop());

	test('under load, to and fro: nothing is missed', async () => {
		const { sender, chats, members } = await world.party();
		const sockets = await Promise.all(members.map(member => world.enter(member)));
		const stop = storm(sender, chats, 10);
		for (const mode of ['outbox', 'transactional', 'deferred', 'outbox', 'deferred'])
		{
			await sleep(300);
			const before = sockets.map(socket => socket.count('synced'));
			await deliver(world, mode);
			await Promise.all(sockets.map((socket, i) => until(() => socket.count('synced') > before[i], `replay for ${mode}`)));
		}
		await sleep(300);
		await stop();
		await world.haveAll(sockets, chats);
		await Promise.all([sender, ...sockets].map(socket => socket.close()));
	});
});
