// SPDX-License-Identifier: PostgreSQL
// Large answers and slow readers: memory stays bounded, a healthy reader gets everything, a slow one what it can be
// given, and only one that reads nothing at all is closed.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { refused, sleep, until, World } from './harness.js';

describe('large answers and slow readers', () => {
	let world;
	let pair;
	let page; // parameters of a list_messages whose answer has more than 1 MB

	before(async () => {
		world = await World.start({ knobs: { workers: 1, outbound_limit: '256kB', answer_limit: '3MB', slow_timeout: '2s' } });
		pair = await world.pair();
		const { alice, chat_id } = pair;
		page = { chat_id, page_size: 128 };
		await world.sql(`SELECT count(chat.send_message(${alice.id}, ${chat_id}, repeat('汉', 4096))) FROM generate_series(1, 128)`);
		await pair.a.close();
		await pair.b.close();
	});
	after(() => world.stop());

	const memory = async () => {
		const status = await readFile(`/proc/${(await world.gateway.workers())[0]}/status`, 'utf8');
		return Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
	};
	const batch = (count, method, params) => Array.from({ length: count }, (_, i) => ({ jsonrpc: '2.0', id: `b${i}`, method, params }));

	test('many large pages at once all arrive at a reader that reads', async () => {
		const socket = await world.connect(pair.alice);
		const pages = await Promise.all(Array.from({ length: 20 }, () => socket.call('list_messages', page)));
		assert.ok(pages.every(({ rows }) => rows.length === 128 && rows[127].body.length === 4096));
		await socket.close();
	});

	test('a batch whose answer would be too large gets 413 for what does not fit', async () => {
		const socket = await world.connect(pair.alice);
		socket.send([...batch(12, 'list_messages', page), { jsonrpc: '2.0', id: 'small', method: 'ping' }]);
		const answers = await socket.reply(Array.isArray);
		const whole = answers.filter(({ result }) => result?.rows?.length === 128);
		const refusals = answers.filter(({ error }) => error?.code === 413 && error.data.reason === 'answer_too_large');
		assert.equal(answers.length, 13);
		assert.ok(whole.length >= 1 && JSON.stringify(whole).length < 4 << 20, `${whole.length} whole`);
		assert.equal(whole.length + refusals.length, 12);
		assert.equal(answers.find(({ id }) => id === 'small').result, 'pong');
		await socket.close();
	});

	test('nor may a batch of discover be larger', async () => {
		const own = await World.start({ knobs: { answer_limit: '256kB' } });
		const socket = await own.connect();
		socket.send(batch(32, 'discover'));
		const answers = await socket.reply(Array.isArray);
		assert.ok(answers.some(({ result }) => result?.length > 50), 'one fits');
		assert.ok(answers.some(({ error }) => error?.data.reason === 'answer_too_large'));
		assert.ok(JSON.stringify(answers).length < 300 << 10, `${JSON.stringify(answers).length} bytes`);
		await socket.close();
		await own.stop();
	});

	test('a small frame does not cost hundreds of megabytes', async () => {
		const sockets = [];
		for (let i = 0; i < 4; i++)
		{
			const socket = await world.connect(pair.alice);
			socket.ws.pause();
			sockets.push(socket);
		}
		const before = await memory();
		let most = before;
		for (const socket of sockets)
		{
			socket.send(batch(32, 'list_messages', page));
			socket.send(batch(32, 'list_messages', page));
		}
		for (let i = 0; i < 15; i++)
		{
			await sleep(100);
			most = Math.max(most, await memory());
		}
		assert.ok(most - before < 150, `${before} MB before, ${most} MB with four such readers`);
		sockets.forEach(socket => socket.ws.terminate());
	});

	test('an answer larger than answer_limit is 413', async () => {
		await world.sql(`CREATE FUNCTION chat.e2e_large(actor_id bigint, size int) RETURNS text LANGUAGE sql AS $$ SELECT repeat('x', size) $$;
			GRANT EXECUTE ON FUNCTION chat.e2e_large TO chat_user`);
		const socket = await world.connect(pair.alice);
		await until(() => socket.call('e2e_large', { size: 1 }).catch(() => null), 'the function');
		assert.equal((await socket.call('e2e_large', { size: 2 << 20 })).length, 2 << 20);
		const error = await refused(socket.call('e2e_large', { size: 4 << 20 }));
		assert.deepEqual([error.code, error.data.reason], [413, 'answer_too_large']);
		await socket.close();
	});

	test('a reader that pauses gets its answers, and one resync for the events that were too many', async () => {
		const { alice, bob, chat_id } = pair;
		const slow = await world.connect(bob);
		const other = await world.connect(alice);
		slow.ws.pause();
		const pages = Array.from({ length: 20 }, () => slow.call('list_messages', page));
		await sleep(500);
		for (let i = 0; i < 50; i++)
			await Promise.all(Array.from({ length: 10 }, () => other.call('send_message', { chat_id, body: 'x'.repeat(1000) })));
		slow.ws.resume();
		assert.ok((await Promise.all(pages)).every(({ rows }) => rows.length === 128));
		await slow.reply(frame => frame.method === 'resync');
		assert.ok(slow.events.length > 10 && slow.events.length < 490, `${slow.events.length} events`);
		const last = await other.call('send_message', { chat_id, body: 'after the resync' });
		await slow.event(event => event.id === last.id, 'the next event');
		assert.deepEqual(slow.others, []);
		await slow.close();
		await other.close();
	});

	test('one that reads slowly is not closed', async () => {
		const slow = await world.connect(pair.bob);
		const pages = Array.from({ length: 12 }, () => slow.call('list_messages', page));
		for (let i = 0; i < 12; i++)
		{
			slow.ws.pause();
			await sleep(400);
			slow.ws.resume();
			await sleep(10);
		}
		assert.ok((await Promise.all(pages)).every(({ rows }) => rows.length === 128));
		await slow.close();
	});

	test('one that reads nothing for slow_timeout is closed 4008', async () => {
		const slow = await world.connect(pair.bob);
		slow.ws.pause();
		for (let i = 0; i < 50; i++) // more than the kernel's buffers of both ends may take
			slow.call('list_messages', page).catch(() => {});
		await sleep(3500);
		slow.ws.resume();
		assert.equal((await slow.ending('4008')).code, 4008);
	});

	test('nor may one trickle: less than slow_rate over slow_timeout is too slow', async t => {
		const own = await World.start({ knobs: { workers: 1, answer_limit: '3MB', slow_timeout: '2s', slow_rate: '2MB' } });
		t.after(() => own.stop());
		const { alice, chat_id } = await own.pair();
		await own.sql(`SELECT count(chat.send_message(${alice.id}, ${chat_id}, repeat('汉', 4096))) FROM generate_series(1, 128)`);
		const trickle = await own.connect(alice);
		trickle.ws._socket.on('data', () => trickle.ws.pause());
		const sips = setInterval(() => trickle.ws.resume(), 200); // 64 kB each
		for (let i = 0; i < 50; i++)
			trickle.call('list_messages', { chat_id, page_size: 128 }).catch(() => {});
		const reading = await own.connect(alice);
		await until(async () => /sessions_closed_total\{reason="too_slow"\} 1$/m.test(await (await fetch(`${own.http}/metrics`)).text()), 'too slow', 40000).finally(() => clearInterval(sips));
		assert.equal(await reading.call('ping'), 'pong');
		trickle.ws.terminate();
		await reading.close();
	});
});
